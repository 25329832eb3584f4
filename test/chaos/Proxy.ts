/** A TCP proxy between one node and its database, which loses sight of one side or cuts a connection off, as networks do. */
import { connect, createServer, type Server, type Socket } from "node:net"

export type Direction = "toServer" | "toClient"

export const BOTH: ReadonlyArray<Direction> = ["toServer", "toClient"]

/** What befalls a connection. `isDoomed` when it is cut off as soon as the server has answered. */
interface Link {
  readonly client: Socket
  readonly server: Socket
  /** What was swallowed, in order: bytes, or that a side has closed. */
  readonly swallowed: Array<() => void>
  mute: ReadonlySet<Direction>
  isDoomed: boolean
}

/** A text that a client will send, and what is to be done so many messages later. */
interface Awaited {
  readonly text: string
  readonly act: () => void
  link: Link | undefined
  left: number
}

const NONE: ReadonlySet<Direction> = new Set()

export class Proxy {
  /** Told the epoch milliseconds of each connection that was cut off after its COMMIT. */
  onCut: (at: number) => void = () => {}
  private readonly links = new Set<Link>()
  private mute: ReadonlySet<Direction> = NONE
  private cutEvery = Infinity
  private commits = 0
  private awaited: Awaited | undefined
  private readonly server: Server
  private readonly target: number

  private constructor(target: number) {
    this.target = target
    this.server = createServer((client) => this.open(client))
  }

  /** A proxy on a free port of this machine before another one of its ports. */
  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target)
    await new Promise<void>((resolve, reject) => {
      proxy.server.once("error", reject).listen(0, "127.0.0.1", resolve)
    })
    return proxy
  }

  get port(): number {
    const address = this.server.address()
    return address !== null && typeof address === "object" ? address.port : 0
  }

  /** Swallows what goes in these directions, on new connections too; no side learns of anything. */
  hold(directions: ReadonlyArray<Direction>): void {
    this.mute = new Set(directions)
    for (const link of this.links) link.mute = this.mute
  }

  /** Delivers what was swallowed, as TCP does when a line is mended in time. */
  release(): void {
    this.mute = NONE
    for (const link of this.links) {
      link.mute = NONE
      for (const deliver of link.swallowed.splice(0)) deliver()
    }
  }

  /** Cuts off every connection; both sides are told. */
  reset(): void {
    this.mute = NONE
    for (const link of this.links) this.cut(link)
  }

  /** Never carries anything again on the connections that are there, and tells nobody; new ones work. */
  forget(): void {
    for (const link of this.links) link.mute = new Set(BOTH)
  }

  /** Cuts off, from now on, the connection of every so-manieth COMMIT, after the server has answered, before it is heard. */
  cutCommits(every: number): void {
    this.cutEvery = every
  }

  /** Does something once, as soon as a client has sent a text, and so many more messages on the same connection. */
  once(text: string, act: () => void, more = 0): void {
    this.awaited = { text, act, link: undefined, left: more }
  }

  async close(): Promise<void> {
    for (const link of this.links) this.cut(link)
    await new Promise((resolve) => this.server.close(resolve))
  }

  private open(client: Socket): void {
    const server = connect(this.target, "127.0.0.1")
    const link: Link = { client, server, swallowed: [], mute: this.mute, isDoomed: false }
    this.links.add(link)
    this.carry(link, "toServer", client, server)
    this.carry(link, "toClient", server, client)
  }

  private carry(link: Link, direction: Direction, from: Socket, to: Socket): void {
    const pass = (deliver: () => void) => (link.mute.has(direction) ? link.swallowed.push(deliver) : deliver())
    from.setNoDelay(true)
    from.on("data", (data) => {
      if (direction === "toClient" && link.isDoomed) return this.cutAnswered(link)
      pass(() => to.write(data))
      if (direction === "toServer") this.look(link, data)
    })
    // Errors are followed by a close.
    from.on("error", () => {})
    from.on("close", () =>
      pass(() => {
        to.destroySoon()
        this.links.delete(link)
      })
    )
  }

  /** PostgreSQL and MySQL both send statements as text. */
  private look(link: Link, data: Buffer): void {
    this.await(link, data)
    if (!data.includes("COMMIT")) return
    this.commits++
    link.isDoomed = this.commits % this.cutEvery === 0
  }

  private await(link: Link, data: Buffer): void {
    const { awaited } = this
    if (awaited === undefined) return
    if (awaited.link === undefined && data.includes(awaited.text)) awaited.link = link
    if (awaited.link !== link || awaited.left-- > 0) return
    this.awaited = undefined
    awaited.act()
  }

  private cutAnswered(link: Link): void {
    this.onCut(Date.now())
    this.cut(link)
  }

  private cut(link: Link): void {
    this.links.delete(link)
    link.mute = NONE
    link.client.resetAndDestroy()
    link.server.resetAndDestroy()
  }
}
