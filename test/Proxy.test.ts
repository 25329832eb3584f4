import { assert, describe, it } from "@effect/vitest"
import { connect, createServer, type Socket } from "node:net"
import { BOTH, Proxy } from "./chaos/Proxy.ts"

/** A line through a proxy to a server that answers with what it is sent, as long as the body takes. */
const onLine = async (body: (line: Line) => Promise<void>): Promise<void> => {
  const heard: Array<string> = []
  const peers: Array<Socket> = []
  const server = createServer((socket) => {
    peers.push(socket)
    socket
      .on("error", () => {})
      .on("data", (data) => {
        heard.push(String(data))
        socket.write(data)
      })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const proxy = await Proxy.start((server.address() as { readonly port: number }).port)
  const line = new Line(proxy, heard)
  try {
    await line.open()
    await body(line)
  } finally {
    line.close()
    for (const peer of peers) peer.destroy()
    await proxy.close()
    server.close()
  }
}

class Line {
  readonly proxy: Proxy
  /** What the server was sent. */
  readonly heard: Array<string>
  answers = ""
  isOpen = false
  private socket!: Socket
  private readonly all: Array<Socket> = []

  constructor(proxy: Proxy, heard: Array<string>) {
    this.proxy = proxy
    this.heard = heard
  }

  async open(): Promise<void> {
    const socket = connect(this.proxy.port, "127.0.0.1")
    this.all.push(socket)
    this.socket = socket
    socket.on("data", (data) => (this.answers += String(data)))
    socket.on("error", () => {}).on("close", () => (this.isOpen = false))
    await new Promise<void>((resolve) => socket.once("connect", resolve))
    this.isOpen = true
  }

  async say(text: string): Promise<void> {
    this.socket.write(text)
    await settle()
  }

  close(): void {
    for (const socket of this.all) socket.destroy()
  }
}

/** Long enough for bytes to get through this machine, or not. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 100))

describe("a proxy", () => {
  it("carries both ways", () =>
    onLine(async (line) => {
      await line.say("one")
      assert.deepStrictEqual([line.heard.join(""), line.answers], ["one", "one"])
    }))

  it("swallows one way or both, and delivers it in order when it is told to", () =>
    onLine(async (line) => {
      line.proxy.hold(["toClient"])
      await line.say("one ")
      assert.deepStrictEqual([line.heard.join(""), line.answers, line.isOpen], ["one ", "", true])
      line.proxy.hold(BOTH)
      await line.say("two")
      assert.strictEqual(line.heard.join(""), "one ")
      line.proxy.release()
      await settle()
      assert.deepStrictEqual([line.heard.join(""), line.answers, line.isOpen], ["one two", "one two", true])
    }))

  it("swallows what comes on new connections as well", () =>
    onLine(async (line) => {
      line.proxy.hold(BOTH)
      await line.open()
      await line.say("one")
      assert.deepStrictEqual([line.heard, line.isOpen], [[], true])
    }))

  it("cuts all connections off, and carries new ones", () =>
    onLine(async (line) => {
      line.proxy.hold(BOTH)
      line.proxy.reset()
      await settle()
      assert.isFalse(line.isOpen)
      await line.open()
      await line.say("one")
      assert.strictEqual(line.answers, "one")
    }))

  it("forgets connections without a word, and carries new ones", () =>
    onLine(async (line) => {
      line.proxy.forget()
      await line.say("one")
      assert.deepStrictEqual([line.answers, line.isOpen], ["", true])
      await line.open()
      await line.say("two")
      assert.strictEqual(line.answers, "two")
    }))

  it("cuts off after every second COMMIT that the server has heard", () =>
    onLine(async (line) => {
      const cuts: Array<number> = []
      line.proxy.onCut = (at) => cuts.push(at)
      line.proxy.cutCommits(2)
      await line.say("COMMIT")
      assert.deepStrictEqual([line.answers, line.isOpen], ["COMMIT", true])
      await line.say("COMMIT")
      assert.deepStrictEqual(line.heard, ["COMMIT", "COMMIT"])
      assert.deepStrictEqual([line.answers, line.isOpen, cuts.length], ["COMMIT", false, 1])
    }))
})
