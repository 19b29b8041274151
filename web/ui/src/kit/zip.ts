// A zip archive of files as they are, without compression: what is attached is mostly
// compressed already. Names are UTF-8, and each occurs once.
const table = Uint32Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0 })
function crc32(b: Uint8Array): number {
  let c = 0xffffffff
  for (let i = 0; i < b.length; i++) c = table[(c ^ b[i]) & 255] ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

export interface Entry { name: string; data: Uint8Array<ArrayBuffer> }

// safe makes a name that opens nowhere but in the folder where the archive is unpacked.
function safe(name: string, taken: Set<string>): string {
  const plain = name.replace(/[\u0000-\u001f\u007f\\/:*?"<>|\u202a-\u202e\u2066-\u2069]/g, '_').replace(/^\.+/, '_').slice(0, 180) || 'attachment'
  const dot = plain.lastIndexOf('.'), stem = dot > 0 ? plain.slice(0, dot) : plain, end = dot > 0 ? plain.slice(dot) : ''
  let one = plain
  for (let n = 2; taken.has(one.toLowerCase()); n++) one = `${stem} (${n})${end}`
  taken.add(one.toLowerCase())
  return one
}

export function zip(files: Entry[], now = new Date()): Blob {
  const parts: Uint8Array<ArrayBuffer>[] = [], directory: Uint8Array<ArrayBuffer>[] = [], taken = new Set<string>()
  const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1), date = (Math.max(0, now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate()
  let at = 0, size = 0
  for (const f of files) {
    const name = new TextEncoder().encode(safe(f.name, taken)), sum = crc32(f.data)
    // The fields that the local header and the directory have in common, APPNOTE 4.3.7.
    const common = (v: DataView, o: number) => { v.setUint16(o, 20, true); v.setUint16(o + 2, 0x800, true); v.setUint16(o + 6, time, true); v.setUint16(o + 8, date, true); v.setUint32(o + 10, sum, true); v.setUint32(o + 14, f.data.length, true); v.setUint32(o + 18, f.data.length, true); v.setUint16(o + 22, name.length, true) }
    const local = new Uint8Array(30 + name.length), l = new DataView(local.buffer)
    l.setUint32(0, 0x04034b50, true); common(l, 4); local.set(name, 30)
    const central = new Uint8Array(46 + name.length), c = new DataView(central.buffer)
    c.setUint32(0, 0x02014b50, true); c.setUint16(4, 20, true); common(c, 6); c.setUint32(42, at, true); central.set(name, 46)
    parts.push(local, f.data); directory.push(central)
    at += local.length + f.data.length; size += central.length
  }
  const end = new Uint8Array(22), e = new DataView(end.buffer)
  e.setUint32(0, 0x06054b50, true); e.setUint16(8, files.length, true); e.setUint16(10, files.length, true); e.setUint32(12, size, true); e.setUint32(16, at, true)
  return new Blob([...parts, ...directory, end], { type: 'application/zip' })
}
