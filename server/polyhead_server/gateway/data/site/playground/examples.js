// Texts to begin with.

const NEWS =
  "Angela Merkel met Tim Cook in Berlin on Tuesday. Apple's new store at Alexanderplatz opened " +
  "to long queues, and the fans loved it.";
const REVIEW =
  "I really wanted to like this phone. The screen is gorgeous 😍, but the battery died on day two " +
  "and Samsung's support in London never called back. What a waste of money!";
const SCRIPTS =
  "رأى سمير مدينة برلين مع Angela Merkel يوم الثلاثاء.\n" +
  "דנה כהן גרה בתל אביב ועובדת ב-Google 👩‍💻.\n" +
  "Zoë O’Brien flew from Malmö 🇸🇪 to Kraków, naïve as ever.";
const LONG_CHARACTERS = 95_000;

const long = () => {
  const once = `${NEWS} ${REVIEW}\n\n`;
  return once.repeat(Math.floor(LONG_CHARACTERS / once.length));
};

/** Maker of a text by name. */
export const EXAMPLES = {
  News: () => NEWS,
  Review: () => REVIEW,
  "Many scripts": () => SCRIPTS,
  Long: long,
};
