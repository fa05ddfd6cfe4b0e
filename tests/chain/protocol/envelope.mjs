// Envelopes by another implementation: HPKE of @hpke/core, the rest of WebCrypto.
// Reads {"do": "seal", "content", "context", "recipients"} or {"do": "unseal", "envelope", "context",
// "private_key"} from standard input; writes the envelope, or the content, as a JSON string.
import { webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'

const { subtle } = webcrypto
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm()
})
const utf8 = (value) => new TextEncoder().encode(value)
const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex')
const unhex = (value) => new Uint8Array(Buffer.from(value.slice(2), 'hex'))
const info = utf8('cortensor envelope 1')

// Canonical JSON: members sorted, no spaces.
const canonical = (value) => Array.isArray(value)
  ? `[${value.map(canonical).join(',')}]`
  : value !== null && typeof value === 'object'
    ? `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`
    : JSON.stringify(value)
const bound = (context) => utf8(canonical({ envelope: 1, context }))

async function contentKeys (key) {
  const ikm = await subtle.importKey('raw', key, 'HKDF', false, ['deriveBits'])
  const bits = new Uint8Array(await subtle.deriveBits({
    name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: utf8('cortensor envelope 1 content')
  }, ikm, 512))
  const aes = await subtle.importKey('raw', bits.slice(0, 32), 'AES-GCM', false, ['encrypt', 'decrypt'])
  return [aes, bits.slice(32)]
}

async function seal ({ content, context, recipients }) {
  const key = webcrypto.getRandomValues(new Uint8Array(32))
  const nonce = webcrypto.getRandomValues(new Uint8Array(12))
  const [aes, commitment] = await contentKeys(key)
  const ciphertext = await subtle.encrypt(
    { name: 'AES-GCM', iv: nonce, additionalData: bound(context) }, aes, utf8(content)
  )
  const rows = []
  for (const publicKey of recipients) {
    const recipientPublicKey = await suite.kem.deserializePublicKey(unhex(publicKey))
    const sender = await suite.createSenderContext({ recipientPublicKey, info })
    const wrapped = await sender.seal(key, bound(context))
    rows.push({ public_key: publicKey, encapsulated: hex(sender.enc), wrapped_key: hex(wrapped) })
  }
  return canonical({
    envelope: 1,
    context,
    commitment: hex(commitment),
    nonce: hex(nonce),
    ciphertext: Buffer.from(ciphertext).toString('base64'),
    recipients: rows
  })
}

async function unseal ({ envelope, context, private_key: privateKey, public_key: publicKey }) {
  const sealed = JSON.parse(envelope)
  const row = sealed.recipients.find((recipient) => recipient.public_key === publicKey)
  const recipient = await suite.createRecipientContext({
    recipientKey: await suite.kem.importKey('raw', unhex(privateKey), false),
    enc: unhex(row.encapsulated),
    info
  })
  const key = await recipient.open(unhex(row.wrapped_key), bound(context))
  const [aes, commitment] = await contentKeys(key)
  if (hex(commitment) !== sealed.commitment) throw new Error('commitment')
  const content = await subtle.decrypt(
    { name: 'AES-GCM', iv: unhex(sealed.nonce), additionalData: bound(context) },
    aes, Buffer.from(sealed.ciphertext, 'base64')
  )
  return new TextDecoder().decode(content)
}

const { do: verb, ...request } = JSON.parse(await text(process.stdin))
console.log(JSON.stringify(await { seal, unseal }[verb](request)))
