/**
 * Chance that is no chance: numbers that look random and are the same for the same text, on every node, for ever.
 *
 * @since 0.1.0
 */

// The finalizer of MurmurHash3 (public domain) over FNV-1a: neighbours in text are far apart in number.
const mix = (hash: number): number => {
  const a = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const b = Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return (b ^ (b >>> 16)) >>> 0
}

/**
 * A number from 0 up to, but not including, 1 that depends on the text alone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fraction = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash) / 2 ** 32
}
