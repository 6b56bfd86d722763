// The request as programs. Secrets are never written into them: they come from the environment.

import { OFFSET_UNIT } from "./api.js";

// Signs that cannot be seen, or that turn the order of what stands around them.
const UNSEEN = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const escaped = (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** A string of JSON, which Python and TypeScript read alike. */
const literal = (text) => JSON.stringify(text).replace(UNSEEN, escaped);
const literals = (texts) => `[${texts.map(literal).join(", ")}]`;
/** A word of the shell, whatever is in it. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const CURL_HEADERS = {
  key: '  --header "x-api-key: $POLYHEAD_API_KEY" \\\n',
  token: '  --header "authorization: Bearer $POLYHEAD_TOKEN" \\\n',
};

const curl = ({ api, text, tasks }) => `\
curl --silent --show-error ${quoted(api.url("v1/annotate"))} \\
  --header 'content-type: application/json' \\
${CURL_HEADERS[api.credentialKind] ?? ""}  --data-binary @- <<'JSON'
{
  "documents": [{"text": ${literal(text)}}],
  "tasks": ${literals(tasks.map(({ name }) => name))},
  "offsetUnit": "${OFFSET_UNIT}"
}
JSON
`;

const PYTHON_SHOWS = {
  HEAD_KIND_CLASSIFICATION: (name) => `print(annotation.classification(${name}).label)`,
  HEAD_KIND_TAGGING: (name) => `\
for word in annotation.tagging(${name}).words:
    print(word.text, word.tag, word.start, word.end)`,
  HEAD_KIND_SPANS: (name) => `\
for span in annotation.spans(${name}):
    print(span.label, span.text, span.start, span.end)`,
};

const pythonCredential = ({ base, credentialKind }) => {
  if (credentialKind === "key")
    return ["import os\n\n", ', headers={"x-api-key": os.environ["POLYHEAD_API_KEY"]}', ""];
  if (credentialKind !== "token") return ["", "", ""];
  const token = 'os.environ["POLYHEAD_TOKEN"]';
  return new URL(base).protocol === "https:"
    ? ["import os\n\n", `, token=${token}`, ""]
    : ["import os\n\n", `, token=BearerToken(${token}, allow_insecure=True)`, "BearerToken, "];
};

const python = ({ api, text, tasks }) => {
  const [before, argument, names] = pythonCredential(api);
  const shows = tasks.map(({ name, kind }) => PYTHON_SHOWS[kind]?.(literal(name)) ?? "");
  return `\
${before}from polyhead import ${names}HttpClient

text = ${literal(text)}
with HttpClient(${literal(api.base.replace(/\/$/, ""))}${argument}) as client:
    annotation = client.annotate(text, ${literals(tasks.map(({ name }) => name))})

${shows.join("\n")}
`;
};

const TYPESCRIPT_HEADERS = {
  key: '    "x-api-key": process.env.POLYHEAD_API_KEY ?? "",\n',
  token: '    authorization: `Bearer ${process.env.POLYHEAD_TOKEN}`,\n',
};

const typescript = ({ api, text, tasks }) => `\
const response = await fetch(${literal(api.url("v1/annotate"))}, {
  method: "POST",
  headers: {
    "content-type": "application/json",
${TYPESCRIPT_HEADERS[api.credentialKind] ?? ""}  },
  body: JSON.stringify({
    documents: [{ text: ${literal(text)} }],
    tasks: ${literals(tasks.map(({ name }) => name))},
    offsetUnit: "${OFFSET_UNIT}",
  }),
});
const answer = await response.json();
if (!response.ok) throw new Error(answer.message);
for (const result of answer.annotations[0].results) console.log(result);
`;

/** Program by language, made of { api, text, tasks }. */
export const LANGUAGES = { curl, Python: python, TypeScript: typescript };
