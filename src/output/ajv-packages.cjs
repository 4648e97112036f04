// Loading AJV is expensive and `parseJson` is synchronous. Only CommonJS can load a package synchronously on
// first use. The build bundles this file and the packages, so that no `require` remains.
exports.draft7 = () => require('ajv').Ajv
exports.draft2019 = () => require('ajv/dist/2019.js').Ajv2019
exports.draft2020 = () => require('ajv/dist/2020.js').Ajv2020
exports.addFormats = () => require('ajv-formats').default
exports.fullFormats = () => require('ajv-formats/dist/formats.js').fullFormats
exports.codeGeneration = () => require('ajv')
