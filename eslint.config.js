import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/** From the top of the house to the bottom: a floor imports only from itself and from those below it. */
const FLOORS = [
  ['cli'],
  ['index', 'building-blocks', 'sim'],
  ['manager'],
  ['arguments'],
  ['registration', 'roster', 'snapshot', 'transitions', 'events', 'stats', 'metrics-feed', 'living-scopes'],
  ['config'],
  ['registry'],
  ['installer'],
  ['netlinker'],
  ['engine'],
  ['protocol'],
  ['route', 'logger', 'intervals'],
  ['metrics-sink'],
  ['metrics'],
  ['clock', 'histogram'],
  ['fields'],
  ['guard'],
  ['address', 'errors'],
];

const downwards = FLOORS.map((floor, height) => ({
  files: floor.flatMap((name) => [`ts/${name}.ts`, `ts/${name}/**/*.ts`]),
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: FLOORS.slice(0, height)
          .flat()
          .map((name) => ({ regex: `^\\.{1,2}/(${name}/.*|${name}\\.js)$`, message: 'Imports run downwards only.' })),
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['dist/', 'crate/', 'node_modules/', 'bench/.out/'] },
  eslint.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
    },
  },
  ...downwards,
  {
    files: ['**/*.mjs', '**/*.js'],
    ...tseslint.configs.disableTypeChecked,
    languageOptions: {
      // Plain Node: no project has them.
      parserOptions: { projectService: false },
      globals: { process: 'readonly', console: 'readonly', setTimeout: 'readonly', setInterval: 'readonly', clearInterval: 'readonly' },
    },
  },
);
