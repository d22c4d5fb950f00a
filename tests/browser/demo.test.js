// The demo page in headless Chromium, clicked as a person would. DEMO_URL names a server that runs with --dev.
// DEMO_SHOTS, when set, is a folder for screenshots.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';

const url = process.env.DEMO_URL;
const shots = process.env.DEMO_SHOTS;
let browser;
let context;
let page;
let faults;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
});
after(() => browser?.close());

beforeEach(async () => {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  context.setDefaultTimeout(15_000);
  faults = [];
  page = await open();
});

async function open() {
  const opened = await context.newPage();
  opened.on('pageerror', (error) => faults.push(error.message));
  await opened.goto(url);
  for (const name of ['A', 'B']) await pane(opened, name).getByText(/^subscribed to demo$/).waitFor();
  return opened;
}

const pane = (where, name) => where.getByRole('region', { name: `Pane ${name}` });
const message = (where, name, text) => pane(where, name).getByRole('log').getByText(text, { exact: true });

async function publish(where, name, text) {
  await pane(where, name).getByLabel('Message', { exact: true }).fill(text);
  await pane(where, name).getByRole('button', { name: 'Publish', exact: true }).click();
}

async function changeChannel(where, name, channel) {
  await pane(where, name).getByLabel('Channel').fill(channel);
  await pane(where, name).getByRole('button', { name: 'Change' }).click();
  await pane(where, name).getByText(`subscribed to ${channel}`, { exact: true }).waitFor();
}

test('what is published in one pane arrives in both, once', async () => {
  await publish(page, 'A', 'hello from A');
  await message(page, 'A', 'hello from A').waitFor();
  await message(page, 'B', 'hello from A').waitFor();
  await publish(page, 'B', 'hello from B');
  await message(page, 'A', 'hello from B').waitFor();
  await message(page, 'B', 'hello from B').waitFor();
  assert.equal(await message(page, 'B', 'hello from A').count(), 1);
  assert.deepEqual(faults, []);
});

test('markup in a message is shown, not run', async () => {
  await publish(page, 'A', '<img src=x onerror="document.title=\'run\'"> & <b>');
  await message(page, 'B', '<img src=x onerror="document.title=\'run\'"> & <b>').waitFor();
  assert.equal(await page.title(), 'Spindle');
});

test('a burst moves the counters and keeps its order', async () => {
  // The figures come once a second: they have to say at some moment that something was delivered.
  const moved = page.waitForFunction(() => Number(document.getElementById('total-deliveries').textContent.replace(/\D/g, '')) > 0);
  await pane(page, 'A').getByRole('button', { name: '× 100' }).click();
  await message(page, 'B', 'burst 100').waitFor();
  await moved;
  const lines = await pane(page, 'B').getByRole('log').getByText(/^burst \d+$/).allTextContents();
  assert.deepEqual(lines, Array.from({ length: 100 }, (_, n) => `burst ${n + 1}`));
  const shards = page.getByRole('heading', { name: /^Shard \d+$/ });
  assert.ok(await shards.count() >= 1);
  assert.ok(Number(await page.locator('#total-connections').textContent()) >= 2);
  if (shots) await page.screenshot({ path: `${shots}/demo-light.png`, fullPage: true });
});

test('panes in different channels do not hear each other', async () => {
  await changeChannel(page, 'B', 'elsewhere');
  await publish(page, 'A', 'only for demo');
  await message(page, 'A', 'only for demo').waitFor();
  await publish(page, 'B', 'only for elsewhere');
  await message(page, 'B', 'only for elsewhere').waitFor();
  assert.equal(await message(page, 'B', 'only for demo').count(), 0);
  assert.equal(await message(page, 'A', 'only for elsewhere').count(), 0);
  await changeChannel(page, 'A', 'elsewhere');
  await publish(page, 'B', 'together again');
  await message(page, 'A', 'together again').waitFor();
});

test('a second tab hears the first', async () => {
  const second = await open();
  await publish(page, 'A', 'to the other tab');
  await message(second, 'A', 'to the other tab').waitFor();
  await publish(second, 'B', 'and back');
  await message(page, 'A', 'and back').waitFor();
  assert.deepEqual(faults, []);
});

test('a lost connection is made good', async () => {
  const sockets = [];
  await context.routeWebSocket('**/connection/websocket', (socket) => {
    socket.connectToServer();
    sockets.push(socket);
  });
  const shaky = await open();
  assert.equal(sockets.length, 2);
  await Promise.all(sockets.map((socket) => socket.close({ code: 1001, reason: 'gone' })));
  for (const name of ['A', 'B']) await pane(shaky, name).getByText(/^subscribed to demo$/).nth(1).waitFor();
  assert.equal(sockets.length, 4);
  await publish(page, 'A', 'after the gap');
  await message(shaky, 'A', 'after the gap').waitFor();
  await message(shaky, 'B', 'after the gap').waitFor();
  assert.equal(await message(shaky, 'A', 'after the gap').count(), 1);
  assert.deepEqual(faults, []);
});

test('it fits a phone, dark', async () => {
  const phone = await browser.newContext({ viewport: { width: 360, height: 740 }, colorScheme: 'dark', deviceScaleFactor: 2 });
  const small = await phone.newPage();
  await small.goto(url);
  await pane(small, 'A').getByText('subscribed to demo').waitFor();
  await publish(small, 'A', 'from a phone');
  await message(small, 'B', 'from a phone').waitFor();
  const widths = await small.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(widths[0] <= widths[1], `${widths[0]} wide on ${widths[1]}`);
  if (shots) await small.screenshot({ path: `${shots}/demo-phone-dark.png`, fullPage: true });
  await phone.close();
});
