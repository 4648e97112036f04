// The tests of the client are written for Jest, whose functions Vitest has under another name.
Reflect.set(globalThis, 'jest', Reflect.get(globalThis, 'vi'))
