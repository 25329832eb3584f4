/**
 * Arrays of PostgreSQL as the text of one parameter: its driver writes them, too, at several times the cost.
 *
 * @since 0.1.0
 */

/**
 * What an array may hold.
 *
 * @since 0.1.0
 * @category models
 */
export type Element = string | number | null

/**
 * An array of one dimension, in the input syntax of PostgreSQL.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toText = (elements: ReadonlyArray<Element>): string => `{${elements.map(elementText).join(",")}}`

const elementText = (element: Element): string => {
  if (typeof element === "number") return String(element)
  return element === null ? "NULL" : `"${SPECIAL.test(element) ? element.replace(ALL_SPECIAL, "\\$&") : element}"`
}

const SPECIAL = /["\\]/
const ALL_SPECIAL = /["\\]/g
