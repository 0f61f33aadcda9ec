// Jest reads TypeScript the way Node does: by erasing types in place, so that line numbers stay true.
const { stripTypeScriptTypes } = require("node:module");
module.exports = { process: (source) => ({ code: stripTypeScriptTypes(source) }) };
