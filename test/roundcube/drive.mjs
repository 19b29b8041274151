// Drives Roundcube in Chromium; see run.sh. The argument is a directory with the server.
import { spawn, execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import assert from 'node:assert/strict'

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT_CORE)
const dir = process.argv[2]
const children = []

const freePort = () => new Promise((done) => {
	const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => done(port)) })
})

async function answering(port) {
	for (let i = 0; i < 400; i++) {
		const up = await new Promise((done) => {
			const c = net.connect(port, '127.0.0.1', () => { c.destroy(); done(true) })
			c.on('error', () => done(false))
		})
		if (up) return
		await new Promise((r) => setTimeout(r, 50))
	}
	throw new Error(`nothing answers on port ${port}`)
}

function start(log, program, args, env = {}) {
	const out = fs.openSync(path.join(dir, log), 'a')
	const child = spawn(program, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env } })
	children.push(child)
}

// imap runs commands and returns everything that the server said.
function imap(port, user, commands) {
	return new Promise((done, fail) => {
		let got = ''
		const c = net.connect(port, '127.0.0.1')
		c.setTimeout(20000, () => fail(new Error(`IMAP is silent after ${got}`)))
		c.on('data', (b) => { got += b })
		c.on('end', () => done(got))
		c.on('error', fail)
		c.write(`a LOGIN ${user} secret\r\n${commands.map((x, i) => `b${i} ${x}\r\n`).join('')}z LOGOUT\r\n`)
	})
}

const message = (subject, text) => `From: Bo <bo@far.test>\r\nTo: ada@home.test\r\nSubject: ${subject}\r\nDate: Mon, 4 May 2026 10:30:00 +0000\r\nMessage-ID: <${subject.replace(/\W/g, '')}@far.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`
const literal = (s) => `{${Buffer.byteLength(s)}+}\r\n${s}`

async function posthouse() {
	const [im, mx, sub, http] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
	const config = path.join(dir, 'posthouse.toml')
	fs.writeFileSync(config, `hostname = "mx.home.test"\ndata = "${dir}/data"\nallow_plaintext_login = true\n[listen]\nmx = ["127.0.0.1:${mx}"]\nsubmission = ["127.0.0.1:${sub}"]\nsubmissions = []\nimap = ["127.0.0.1:${im}"]\nimaps = []\nhttps = []\nhttp = ["127.0.0.1:${http}"]\n[smtp]\nsender_checks = "off"\n`)
	const run = (input, ...args) => execFileSync(path.join(dir, 'posthouse'), [...args, '--config', config], { input })
	run('', 'domain', 'add', 'home.test')
	for (const who of ['ada', 'ben']) run('secret\n', 'account', 'add', `${who}@home.test`, '--password-stdin')
	start('posthouse.log', path.join(dir, 'posthouse'), ['serve', '--config', config])
	await answering(im)
	await answering(sub)
	const said = await imap(im, 'ada@home.test', ['Lunch today?', 'The minutes', 'Grüße aus Köln'].map((s, i) => 'APPEND INBOX ' + literal(message(i === 2 ? '=?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=' : s, i === 2 ? 'Der Zug ist pünktlich.' : `This is about ${s}`))))
	assert.equal(said.match(/APPENDUID/g)?.length, 3, said)
	return { im, sub }
}

async function roundcube({ im, sub }) {
	const port = await freePort()
	const conf = path.join(dir, 'rc')
	for (const d of ['rc', 'logs', 'temp']) fs.mkdirSync(path.join(dir, d))
	for (const f of ['defaults.inc.php', 'mimetypes.php']) {
		for (const from of ['/etc/roundcube', '/usr/share/roundcube/config', '/var/lib/roundcube/config']) {
			if (fs.existsSync(path.join(from, f)) && !fs.existsSync(path.join(conf, f))) fs.symlinkSync(path.join(from, f), path.join(conf, f))
		}
	}
	fs.writeFileSync(path.join(conf, 'config.inc.php'), `<?php
$config = [
  'db_dsnw' => 'sqlite:///${dir}/roundcube.sqlite?mode=0600',
  'imap_host' => '127.0.0.1:${im}', 'smtp_host' => '127.0.0.1:${sub}', 'smtp_user' => '%u', 'smtp_pass' => '%p',
  'log_dir' => '${dir}/logs', 'temp_dir' => '${dir}/temp', 'log_driver' => 'file', 'imap_debug' => true,
  'des_key' => 'twenty-four-characters!!', 'plugins' => [], 'skin' => 'elastic', 'language' => 'en_US', 'sent_mbox' => 'Sent',
  'create_default_folders' => false, 'message_show_email' => true,
];
`)
	start('php.log', 'php', ['-d', 'date.timezone=UTC', '-S', `127.0.0.1:${port}`, '-t', '/var/lib/roundcube'], { ROUNDCUBE_CONFIG_DIR: conf, PHP_CLI_SERVER_WORKERS: '4' })
	await answering(port)
	return `http://127.0.0.1:${port}/`
}

const subjects = (page) => page.locator('#messagelist tbody tr .subject a').allInnerTexts()

async function until(what, ready) {
	for (let i = 0; i < 200; i++) {
		if (await ready()) return
		await new Promise((r) => setTimeout(r, 100))
	}
	throw new Error(`in vain: ${what}`)
}

async function drive(base, { im }) {
	const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
	try {
		const page = await browser.newPage({ viewport: { width: 1300, height: 900 } })
		page.setDefaultTimeout(30000)
		const seen = (s) => console.log(`roundcube: ${s}`)

		await page.goto(base)
		await page.fill('input[name=_user]', 'ada@home.test')
		await page.fill('input[name=_pass]', 'secret')
		await page.click('#rcmloginsubmit')
		await page.waitForSelector('#messagelist tbody tr')
		seen('logged in')

		await until('three messages', async () => (await subjects(page)).length === 3)
		const list = await subjects(page)
		assert.ok(list.some((s) => s.includes('Grüße aus Köln')), list.join(' | '))
		const folders = await page.locator('#mailboxlist li > a').allInnerTexts()
		for (const f of ['Inbox', 'Drafts', 'Sent', 'Junk', 'Trash', 'Archive']) assert.ok(folders.some((x) => x.includes(f)), folders.join(' | '))
		seen(`lists ${list.length} messages and the folders ${folders.map((f) => f.trim().split('\n')[0]).join(', ')}`)

		await page.locator('#messagelist tbody tr', { hasText: 'Köln' }).click()
		const frame = page.frameLocator('#messagecontframe')
		await frame.locator('#messagebody').waitFor()
		assert.match(await frame.locator('#messagebody').innerText(), /Der Zug ist pünktlich/)
		await until('the message is seen', async () => /\\Seen/.test(await imap(im, 'ada@home.test', ['EXAMINE INBOX', 'FETCH 3 (FLAGS)'])))
		seen('reads a message, and it is seen')

		await page.fill('#mailsearchform', 'minutes')
		await page.press('#mailsearchform', 'Enter')
		await until('one message is found', async () => (await subjects(page)).length === 1)
		assert.match((await subjects(page))[0], /The minutes/)
		seen('finds one of them by its subject')
		await page.locator('#messagelist tbody tr').first().click()
		await page.waitForSelector('#messagelist tbody tr.selected')
		await until('it is shown', async () => /about The minutes/.test(await frame.locator('#messagebody').innerText().catch(() => '')))
		await until('the page is idle', () => page.evaluate(() => !window.rcmail.busy))
		await page.evaluate(() => window.rcmail.command('move', 'Archive'))
		await until('it is in Archive', async () => /MESSAGES 1\b/.test(await imap(im, 'ada@home.test', ['STATUS Archive (MESSAGES)'])))
		seen('moves it to Archive')

		await page.goto(`${base}?_task=mail&_action=compose`)
		await page.waitForSelector('#composebody')
		await page.locator('.recipient-input input').first().fill('ben@home.test,')
		await page.fill('input[name=_subject]', 'Antwort: ja')
		await page.fill('#composebody', 'Gerne, um zwölf.')
		await page.click('a.send, button.send')
		await until('ben has it', async () => /MESSAGES 1\b/.test(await imap(im, 'ben@home.test', ['STATUS INBOX (MESSAGES)'])))
		const got = await imap(im, 'ben@home.test', ['EXAMINE INBOX', 'FETCH 1 BODY.PEEK[]'])
		assert.match(got, /Subject: Antwort: ja/)
		await until('a copy is in Sent', async () => /MESSAGES 1\b/.test(await imap(im, 'ada@home.test', ['STATUS Sent (MESSAGES)'])))
		seen('sends a message, which arrives, with a copy in Sent')

		await page.goto(`${base}?_task=mail&_mbox=INBOX`)
		await until('two messages', async () => (await subjects(page)).length === 2)
		await imap(im, 'ada@home.test', ['APPEND INBOX ' + literal(message('While you look', 'new'))])
		await page.evaluate(() => window.rcmail.command('checkmail'))
		await until('the new message shows', async () => (await subjects(page)).some((s) => s.includes('While you look')))
		seen('shows what arrives meanwhile')
	} finally {
		await browser.close()
	}
}

let failed = false
try {
	const ports = await posthouse()
	await drive(await roundcube(ports), ports)
	const errors = path.join(dir, 'logs', 'errors.log')
	if (fs.existsSync(errors)) throw new Error(`Roundcube logged errors:\n${fs.readFileSync(errors)}`)
	console.log('roundcube: all is well')
} catch (err) {
	failed = true
	console.error(err)
	for (const f of ['posthouse.log', 'php.log', 'logs/errors.log', 'logs/imap.log']) {
		const p = path.join(dir, f)
		if (fs.existsSync(p)) console.error(`--- ${f}\n${fs.readFileSync(p, 'utf8').slice(-3000)}`)
	}
}
for (const c of children) c.kill()
process.exit(failed ? 1 : 0)
