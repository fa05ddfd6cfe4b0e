// CIDs by the JavaScript implementation of UnixFS: reads JSON cases from standard input,
// {"path": file, "size": its first bytes, "profile": name} or the same with "chunk" and "links",
// and writes a JSON list of their CIDs. The blocks themselves are thrown away.
import { createReadStream } from 'node:fs'
import { text } from 'node:stream/consumers'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'

const nowhere = { put: async (cid) => cid }

const shape = ({ profile, chunk, links }) => profile != null
  ? { profile }
  : {
      cidVersion: 1,
      rawLeaves: true,
      fieldOrder: 'links-first',
      chunker: fixedSize({ chunkSize: chunk }),
      layout: balanced({ maxChildrenPerNode: links })
    }

const cids = []
for (const { path, size, ...rest } of JSON.parse(await text(process.stdin))) {
  const content = size === 0 ? [] : createReadStream(path, { end: size - 1 })
  for await (const entry of importer([{ path: 'content', content }], nowhere, shape(rest))) {
    cids.push(entry.cid.toString())
  }
}
console.log(JSON.stringify(cids))
