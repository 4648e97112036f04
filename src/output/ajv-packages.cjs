// AJV is dear to evaluate, and `parseJson` is synchronous: it is CommonJS that can load a package when it
// is first needed. The build puts this file and the packages into ours, where `require` is no more.
exports.draft7 = () => require('ajv').Ajv
exports.draft2019 = () => require('ajv/dist/2019.js').Ajv2019
exports.draft2020 = () => require('ajv/dist/2020.js').Ajv2020
exports.addFormats = () => require('ajv-formats').default
exports.fullFormats = () => require('ajv-formats/dist/formats.js').fullFormats
exports.codeGeneration = () => require('ajv')
