// A report of the load generator in headless Chromium: REPORT_PAGE names one, made by a short fanout run. DEMO_SHOTS,
// when set, is a folder for screenshots.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const address = pathToFileURL(process.env.REPORT_PAGE).href;
const shots = process.env.DEMO_SHOTS;
let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
});
after(() => browser?.close());

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && request.url() !== address) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(address);
  return { page, faults };
}

const text = (page, selector) => page.locator(selector).allTextContents();

test('the verdict and the main figures stand first', async () => {
  const { page, faults } = await open({ viewport: { width: 1200, height: 900 } });
  assert.deepEqual(await text(page, 'h1'), ['fanout']);
  const [verdict] = await text(page, '#verdict');
  const complaints = await text(page, '#complaints li');
  assert.ok(verdict.startsWith('valid: ') ? complaints.length === 0 : verdict === 'INVALID' && complaints.length > 0, verdict);
  assert.ok(!complaints.some((words) => words.startsWith('publications')), complaints.join());
  const cards = await text(page, '.card');
  for (const name of ['Deliveries', 'Latency p50', 'Latency p99', 'Server CPU a delivery']) {
    const card = cards.find((words) => words.startsWith(name));
    assert.match(card ?? '', /[1-9]/, `${name} among ${cards.join(' | ')}`);
  }
  assert.deepEqual(faults, []);
  if (shots) await page.screenshot({ path: `${shots}/report-light.png`, fullPage: true });
});

test('all four plots show lines within their frames', async () => {
  const { page, faults } = await open({ viewport: { width: 1200, height: 900 } });
  const titles = await text(page, '.plot h2');
  assert.deepEqual(titles, ['Latency by percentile', 'Latency over time', 'Rate over time', 'Server CPU over time']);
  const plots = await page.locator('.plot svg').evaluateAll((all) => all.map((svg) => ({
    width: svg.viewBox.baseVal.width,
    height: svg.viewBox.baseVal.height,
    marks: svg.querySelectorAll('text').length,
    lines: [...svg.querySelectorAll('polyline')].map((line) => [...line.points].map(({ x, y }) => [x, y])),
  })));
  for (const [i, plot] of plots.entries()) {
    assert.ok(plot.marks >= 4, `${titles[i]}: ${plot.marks} marks`);
    assert.equal(plot.lines.length, titles[i] === 'Latency over time' ? 3 : 1);
    for (const line of plot.lines) {
      assert.ok(line.length >= 3, `${titles[i]}: ${line.length} points`);
      for (const [x, y] of line) {
        assert.ok(x >= 0 && x <= plot.width && y >= 0 && y <= plot.height, `${titles[i]}: ${x}, ${y}`);
      }
      assert.ok(line.every(([x], at) => at === 0 || x >= line[at - 1][0]), `${titles[i]} goes back`);
    }
  }
  assert.deepEqual(faults, []);
});

test('every figure is in the table', async () => {
  const { page } = await open({ viewport: { width: 1200, height: 900 } });
  const rows = await text(page, '#figures tr');
  for (const name of ['Messages a frame', 'Latency p99.9', 'Deliveries a CPU second', 'Generator busy']) {
    assert.ok(rows.some((row) => row.startsWith(name)), name);
  }
  assert.ok(!rows.some((row) => row.includes('NaN')), rows.join());
});

test('it fits a phone, dark', async () => {
  const { page, faults } = await open({ viewport: { width: 360, height: 740 }, colorScheme: 'dark', deviceScaleFactor: 2 });
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(widths[0] <= widths[1], `${widths[0]} wide on ${widths[1]}`);
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(ground.match(/\d+/g).every((part) => Number(part) < 60), `${ground} is not dark`);
  assert.deepEqual(faults, []);
  if (shots) await page.screenshot({ path: `${shots}/report-phone-dark.png`, fullPage: true });
});
