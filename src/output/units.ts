/**
 * Currencies and units that may stand beside a number, by their common names. Left out are names that also
 * mean a multiple (`k`, `m`, `M`, `b`, `t`, `K`, `G`) and all factors (`million`, `dozen`): dropping one of
 * these would change the number.
 */
const CURRENCIES: Readonly<Record<string, readonly string[]>> = {
  usd: ['$', 'US$', 'USD', 'dollar', 'dollars'],
  eur: ['€', 'EUR', 'euro', 'euros'],
  gbp: ['£', 'GBP', 'pound sterling'],
  jpy: ['¥', 'JPY', 'yen'],
  inr: ['₹', 'INR', 'rupee', 'rupees'],
  krw: ['₩', 'KRW'],
  rub: ['₽', 'RUB'],
  try: ['₺', 'TRY'],
  uah: ['₴', 'UAH'],
  ils: ['₪', 'ILS'],
  chf: ['CHF'],
  cny: ['CNY', 'RMB', 'yuan'],
  cad: ['CAD', 'C$'],
  aud: ['AUD', 'A$'],
  sek: ['SEK'],
  nok: ['NOK'],
  dkk: ['DKK'],
  pln: ['PLN', 'zł'],
  brl: ['BRL', 'R$'],
}

const MEASURES: Readonly<Record<string, readonly string[]>> = {
  kg: ['kg', 'kgs', 'kilogram', 'kilograms', 'kilo', 'kilos'],
  g: ['g', 'gram', 'grams'],
  mg: ['mg', 'milligram', 'milligrams'],
  lb: ['lb', 'lbs', 'pound', 'pounds'],
  oz: ['oz', 'ounce', 'ounces'],
  ton: ['ton', 'tons', 'tonne', 'tonnes'],
  km: ['km', 'kilometer', 'kilometers', 'kilometre', 'kilometres'],
  meter: ['meter', 'meters', 'metre', 'metres'],
  cm: ['cm', 'centimeter', 'centimeters', 'centimetre', 'centimetres'],
  mm: ['mm', 'millimeter', 'millimeters', 'millimetre', 'millimetres'],
  mile: ['mi', 'mile', 'miles'],
  foot: ['ft', 'foot', 'feet'],
  inch: ['inch', 'inches'],
  yard: ['yd', 'yard', 'yards'],
  m2: ['m²', 'm2', 'sqm', 'square meters', 'square metres'],
  sqft: ['sqft', 'sq ft', 'square feet'],
  ml: ['ml', 'mL', 'milliliter', 'milliliters', 'millilitre', 'millilitres'],
  liter: ['l', 'L', 'liter', 'liters', 'litre', 'litres'],
  ms: ['ms', 'millisecond', 'milliseconds'],
  second: ['s', 'sec', 'secs', 'second', 'seconds'],
  minute: ['min', 'mins', 'minute', 'minutes'],
  hour: ['h', 'hr', 'hrs', 'hour', 'hours'],
  day: ['day', 'days'],
  week: ['week', 'weeks'],
  month: ['month', 'months'],
  year: ['year', 'years', 'yr', 'yrs', 'years old', 'year old', 'y/o'],
  celsius: ['°C', 'celsius', 'degrees celsius'],
  fahrenheit: ['°F', 'fahrenheit', 'degrees fahrenheit'],
  degree: ['°', 'deg', 'degree', 'degrees'],
  kmh: ['km/h', 'kmh', 'kph'],
  mph: ['mph'],
  kcal: ['kcal', 'calories'],
  kb: ['KB', 'kB'],
  mb: ['MB', 'megabyte', 'megabytes'],
  gb: ['GB', 'gigabyte', 'gigabytes'],
  tb: ['TB', 'terabyte', 'terabytes'],
  byte: ['byte', 'bytes'],
  hz: ['Hz'],
  khz: ['kHz'],
  mhz: ['MHz'],
  ghz: ['GHz'],
  watt: ['W', 'watt', 'watts'],
  kw: ['kW', 'kilowatt', 'kilowatts'],
  kwh: ['kWh'],
  volt: ['V', 'volt', 'volts'],
  pixel: ['px', 'pixel', 'pixels'],
  point: ['pt', 'pts', 'point', 'points'],
  piece: ['pc', 'pcs', 'piece', 'pieces', 'unit', 'units', 'item', 'items', 'pages', 'page'],
  person: ['person', 'persons', 'people', 'guests', 'employees', 'users'],
  times: ['time', 'times'],
}

const byName = new Map(
  Object.entries({ ...CURRENCIES, ...MEASURES }).flatMap(([unit, names]) =>
    names.map((name) => [name, unit] as const),
  ),
)
// Words are found in any case; symbols such as `mb` and `MB` are not the same.
const byWord = new Map(
  [...byName].filter(([name]) => name.length > 3).map(([name, unit]) => [name.toLowerCase(), unit]),
)

export function isCurrency(unit: string): boolean {
  return Object.hasOwn(CURRENCIES, unit)
}

function unitNamed(name: string): string | undefined {
  return byName.get(name) ?? byWord.get(name.toLowerCase())
}

/** The units that a name or description mentions, such as `weight_kg`. */
export function unitsIn(text: string): ReadonlySet<string> {
  const found = new Set<string>()
  const words = wordsOf(text)
  for (const [index, word] of words.entries()) {
    // A single letter is a unit at the end of a name, as in `weight_g`.
    if (word.length === 1 && (index === 0 || index < words.length - 1)) continue
    const unit = unitNamed(word) ?? byName.get(word.toUpperCase())
    if (unit !== undefined) found.add(unit)
  }
  return found
}

const MAX_WORDS_CHARS = 2_000

/** The words of a name in any convention, or of a sentence. */
export function wordsOf(text: string): readonly string[] {
  const apart = text.slice(0, MAX_WORDS_CHARS).replace(/([a-z\d])(?=[A-Z])/g, '$1 ')
  return apart.split(/[\s_.,;:/()[\]"'-]+/).filter((word) => word !== '')
}

const MAX_CHARS = 100
const NUMBER = /\d(?:[\d.,'’_\s]*\d)?/
const SIGN = /^[+\-\u2212]/
const ENDS_WITH_SIGN = /[+\-\u2212]$/
const CURRENCY = /^[\p{Sc}A-Z$]+$/u

/** The number, with its sign and separators, and the unit of a text that has nothing else. */
export function withoutUnit(
  text: string,
): { readonly number: string; readonly unit: string } | undefined {
  if (text.length > MAX_CHARS) return undefined
  const [digits] = NUMBER.exec(text) ?? []
  if (digits === undefined) return undefined
  const at = text.indexOf(digits)
  const before = text.slice(0, at).trim()
  const behind = text.slice(at + digits.length).trim()
  const sign = SIGN.exec(before)?.[0] ?? ENDS_WITH_SIGN.exec(before)?.[0] ?? ''
  const unsigned = before.startsWith(sign) ? before.slice(sign.length) : before.slice(0, -1)
  const prefix = unsigned.trim()
  // Other units stand behind their number.
  if (prefix !== '' && !CURRENCY.test(prefix)) return undefined
  const names = [prefix, behind].filter((name) => name !== '')
  const [unit, ...others] = new Set(names.map(unitNamed))
  return unit === undefined || others.length > 0 ? undefined : { number: sign + digits, unit }
}
