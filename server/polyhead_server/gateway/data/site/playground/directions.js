// Which way a text runs at its end.

const LETTER = /\p{L}/u;
const ARABIC = /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Nko}\p{Script=Samaritan}\p{Script=Mandaic}]/u;
const [LEFT_SIGN, RIGHT_SIGN, ARABIC_SIGN] = ["\u200e", "\u200f", "\u061c"];

/**
 * An unseen sign of the direction of a text's last letter. A label with this sign behind it stays at
 * the end of that text, and nothing around is turned: the sign is of the kind that stood there before.
 */
export const directionSign = (text) => {
  const letter = Array.from(text).findLast((sign) => LETTER.test(sign));
  if (letter === undefined) return "";
  if (ARABIC.test(letter)) return ARABIC_SIGN;
  return RIGHT_TO_LEFT.test(letter) ? RIGHT_SIGN : LEFT_SIGN;
};
