export declare const draft7: () => typeof import('ajv').Ajv
export declare const draft2019: () => typeof import('ajv/dist/2019.js').Ajv2019
export declare const draft2020: () => typeof import('ajv/dist/2020.js').Ajv2020
export declare const addFormats: () => typeof import('ajv-formats').default
export declare const fullFormats: () => typeof import('ajv-formats/dist/formats.js').fullFormats
export declare const codeGeneration: () => typeof import('ajv')
