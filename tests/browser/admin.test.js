// The admin page, and the description of the server API, in headless Chromium, on a phone. ADMIN_URL names it; the server's password is `password`, it runs
// with --dev, and DEMO_URL names its demo page. DEMO_SHOTS, when set, is a folder for screenshots.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';

const url = process.env.ADMIN_URL;
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
  context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  context.setDefaultTimeout(15_000);
  faults = [];
  page = await context.newPage();
  page.on('pageerror', (error) => faults.push(error.message));
  await page.goto(url);
});

const region = (name) => page.getByRole('region', { name });

async function logIn(password = 'password') {
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

async function publish(channel, data) {
  await page.getByLabel('Channel', { exact: true }).fill(channel);
  await page.getByLabel('Data (JSON)').fill(data);
  await page.getByRole('button', { name: 'Publish' }).click();
}

test('a wrong password shows nothing', async () => {
  await logIn('wrong');
  await page.getByRole('alert').getByText(/^Wrong password/).waitFor();
  assert.equal(await region('Now').isVisible(), false);
  assert.deepEqual(faults, []);
});

test('the password lets in, a reload keeps it, and logging out ends it', async () => {
  await logIn();
  await region('Now').getByText('Clients').waitFor();
  await region('Nodes').getByRole('row').nth(1).waitFor();
  await page.reload();
  await region('Now').getByText('Clients').waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByLabel('Password').waitFor();
  await page.reload();
  await page.getByLabel('Password').waitFor();
  assert.deepEqual(faults, []);
});

test('the node, its clients and its channels are shown', async () => {
  const demo = await context.newPage();
  await demo.goto(process.env.DEMO_URL);
  await demo.getByText(/^subscribed to demo$/).first().waitFor();
  await logIn();
  await page.waitForFunction(() => Number(document.querySelectorAll('#totals dd')[1]?.textContent) >= 2);
  await page.getByLabel('Pattern').fill('dem*');
  await page.getByRole('button', { name: 'List' }).click();
  await region('Channels').getByRole('row', { name: /^demo 2$/ }).waitFor();
  await page.getByLabel('Pattern').fill('nothing*');
  await page.getByRole('button', { name: 'List' }).click();
  await region('Channels').getByText('0 channels with subscribers.').waitFor();
  // The first interval is over after two seconds.
  await region('Per second').getByText(/over the last whole 2 s/).waitFor();
  if (shots) await page.screenshot({ path: `${shots}/admin.png`, fullPage: true });
  assert.deepEqual(faults, []);
});

test('what is published arrives, and what is no JSON does not leave', async () => {
  const demo = await context.newPage();
  await demo.goto(process.env.DEMO_URL);
  await demo.getByText(/^subscribed to demo$/).first().waitFor();
  await logIn();
  await publish('demo', '{"text": "from the <b>admin</b> page"}');
  await region('Publish').getByText(/^Published/).waitFor();
  await demo.getByText('from the <b>admin</b> page', { exact: true }).first().waitFor();
  await publish('demo', '{"text"');
  await region('Publish').getByText(/^The data is no JSON/).waitFor();
  await publish('nowhere:x', '1');
  await region('Publish').getByText('Not published: unknown channel (102)').waitFor();
  assert.deepEqual(faults, []);
});

test('nothing is wider than the phone', async () => {
  await logIn();
  await region('Nodes').getByRole('row').nth(1).waitFor();
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(wide <= room, `${wide} of ${room}`);
});

test('the description of the API shows every method', async () => {
  await page.goto(new URL('/swagger', url).href);
  await page.getByText('/shared_poll_publish', { exact: true }).waitFor();
  await page.getByText('/history', { exact: true }).click();
  await page.locator('details[open]').getByText('since', { exact: true }).first().waitFor();
  assert.equal(await page.locator('summary').count(), 21);
  if (shots) await page.screenshot({ path: `${shots}/api.png` });
  assert.deepEqual(faults, []);
});
