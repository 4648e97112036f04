import type { Name, _ as Template } from 'ajv'
import * as packages from './ajv-packages.cjs'

/** The helpers with which AJV keywords generate code. */
export interface CodeGeneration {
  readonly _: typeof Template
  readonly Name: typeof Name
}

/** AJV could not be loaded. Says nothing about the schema. */
export class NotLoaded extends Error {
  override readonly name = 'NotLoaded'
}

function loading<T>(load: () => T): () => T {
  return () => {
    try {
      return load()
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause)
      throw new NotLoaded(`AJV, which checks answers, could not be loaded: ${said}`, { cause })
    }
  }
}

/** Each loads its AJV package on the first call. @throws {NotLoaded} */
export const draft7: typeof packages.draft7 = loading(packages.draft7)
export const draft2019: typeof packages.draft2019 = loading(packages.draft2019)
export const draft2020: typeof packages.draft2020 = loading(packages.draft2020)
export const addFormats: typeof packages.addFormats = loading(packages.addFormats)
export const fullFormats: typeof packages.fullFormats = loading(packages.fullFormats)
export const codeGeneration: typeof packages.codeGeneration = loading(packages.codeGeneration)
