/** What the threads of piscina load. */
import { compute } from "./executors-work.ts"

export default compute
