module.exports = {
  projects: [
    { displayName: 'require', testMatch: ['<rootDir>/plain/*.test.cjs'], transform: {} },
    {
      displayName: 'import through Babel',
      testMatch: ['<rootDir>/babel/*.test.js'],
      transform: {
        '\\.js$': [
          'babel-jest',
          { presets: [['@babel/preset-env', { targets: { node: 'current' } }]] },
        ],
      },
    },
    {
      displayName: 'import through ts-jest',
      testMatch: ['<rootDir>/ts-jest/*.test.ts'],
      transform: { '\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/tsconfig.json' }] },
    },
  ],
}
