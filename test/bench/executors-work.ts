/** The work that the executors are measured with: it keeps a processor busy, a unit for about a millisecond. */
export const compute = (units: number): number => {
  let sum = 0
  for (let i = 0; i < units * 50_000; i++) sum = (sum + i * i) % 1_000_003
  return sum
}
