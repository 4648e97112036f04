import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import commonjs from '@rollup/plugin-commonjs'
import json from '@rollup/plugin-json'
import nodeResolve from '@rollup/plugin-node-resolve'
import * as esbuild from 'esbuild'
import * as rolldown from 'rolldown'
import * as rollup from 'rollup'
import webpack from 'webpack'

const entry = fileURLToPath(new URL('everything.mjs', import.meta.url))

const withEsbuild = (options) => (outfile) =>
  esbuild.build({ entryPoints: [entry], bundle: true, outfile, logLevel: 'error', ...options })

const withRollup = (format, plugins) => async (file) => {
  const built = await rollup.rollup({ input: entry, external: /^node:/, plugins, onwarn() {} })
  await built.write({ file, format, inlineDynamicImports: true })
}

const withRolldown = (format) => async (file) => {
  const built = await rolldown.rolldown({ input: entry, platform: 'node', logLevel: 'silent' })
  await built.write({ file, format, codeSplitting: false })
}

async function withWebpack(file) {
  const stats = await promisify(webpack)({
    mode: 'production',
    target: 'node22',
    entry,
    output: { path: dirname(file), filename: basename(file), library: { type: 'commonjs2' } },
  })
  if (stats.hasErrors()) throw new Error(stats.toString('errors-only'))
}

const withBun = (target) => (file) => {
  const bun = createRequire(import.meta.url).resolve('@oven/bun-linux-x64/bin/bun')
  execFileSync(bun, ['build', entry, `--target=${target}`, `--outfile=${file}`])
}

const usual = [nodeResolve({ preferBuiltins: true }), commonjs(), json()]

/** What each makes is one file; its name says how it is loaded. */
export const BUNDLERS = {
  'esbuild.mjs': withEsbuild({ platform: 'node', format: 'esm' }),
  'esbuild.cjs': withEsbuild({ platform: 'node', format: 'cjs' }),
  'esbuild-minified.mjs': withEsbuild({ platform: 'node', format: 'esm', minify: true }),
  'esbuild-for-workers.mjs': withEsbuild({
    platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'],
    format: 'esm',
    external: ['node:*'],
  }),
  'rollup.mjs': withRollup('es', usual),
  'rollup.cjs': withRollup('cjs', usual),
  'rollup-without-commonjs.mjs': withRollup('es', [nodeResolve({ preferBuiltins: true })]),
  'rolldown.mjs': withRolldown('esm'),
  'rolldown.cjs': withRolldown('cjs'),
  'webpack.cjs': withWebpack,
  'bun-for-node.mjs': withBun('node'),
}
