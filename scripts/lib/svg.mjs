/*
 * Plots as SVG by hand, and tables. Dark or light by `prefers-color-scheme`. Lines differ by dash as well as by colour, and are named where they end, so
 * that nobody needs to tell colours apart.
 */
const WIDTH = 720;
const LINE = ['#2f6fde #7aa7ff', '#c2410c #fb923c', '#15803d #4ade80', '#7e22ce #c084fc'];
const DASH = ['', '6 3', '2 3', '10 3 2 3'];

const entities = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function page(height, title, body) {
  const both = LINE.map((pair) => pair.split(' '));
  const colours = (at) => both.map((pair, i) => `.s${i}{stroke:${pair[at]}}.f${i}{fill:${pair[at]}}`).join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${entities(title)}">
<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}.small{font-size:12px;fill:#59636e}
.page{fill:#ffffff}.grid{stroke:#d1d9e0;stroke-width:1}.line{fill:none;stroke-width:2}.shade{fill:#59636e;opacity:.12}
${colours(0)}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#3d444d}.shade{fill:#9198a1;opacity:.18}${colours(1)}}
</style>
<rect class="page" width="${WIDTH}" height="${height}" rx="6"/>
<text class="title" x="16" y="26">${entities(title)}</text>
${body.join('\n')}
</svg>
`;
}

/** A table as the documents have it; the first `names` columns are text, the others numbers. */
export const table = (head, rows, names = 1) =>
  [head, head.map((_, i) => (i < names ? '---' : '--:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** Horizontal bars from 0: `rows` of a name, a value, and how it is written; `mark` is a line across them all, with its name. */
export function bars({ title, rows, max, mark }) {
  const left = 190;
  const right = 90;
  const y = (i) => 46 + i * 30;
  const x = (value) => left + (Math.min(value, max) / max) * (WIDTH - left - right);
  const height = y(rows.length) + (mark === undefined ? 8 : 24);
  const body = rows.map(
    ({ name, value, text, strong }, i) =>
      `<text x="${left - 10}" y="${y(i) + 15}" text-anchor="end">${entities(name)}</text>` +
      `<rect class="f${strong ? 0 : 1}" x="${left}" y="${y(i)}" width="${Math.max(1, x(value) - left).toFixed(1)}" height="20"/>` +
      `<text x="${(x(value) + 6).toFixed(1)}" y="${y(i) + 15}">${entities(text)}</text>`,
  );
  if (mark !== undefined) {
    const at = x(mark.value).toFixed(1);
    const end = y(rows.length);
    body.push(`<line class="s3" stroke-width="2" stroke-dasharray="4 3" x1="${at}" x2="${at}" y1="40" y2="${end}"/>`);
    body.push(`<text class="small" x="${at}" y="${end + 14}" text-anchor="middle">${entities(mark.name)}</text>`);
  }
  return page(height, title, body);
}

/**
 * Lines over x: `series` of a name and points [x, y]; `logX` spaces x by its logarithm. `shade` greys a stretch of x, with its name. Ticks are
 * [value, text].
 */
export function lines({ title, series, xTicks, yTicks, xName, yName, logX = false, shade }) {
  const height = 340;
  const [left, right, top, bottom] = [64, 190, 58, 44];
  const scale = logX ? Math.log : (value) => value;
  const [x0, x1] = [scale(xTicks[0][0]), scale(xTicks.at(-1)[0])];
  const [y0, y1] = [yTicks[0][0], yTicks.at(-1)[0]];
  const x = (value) => left + ((scale(value) - x0) / (x1 - x0)) * (WIDTH - left - right);
  const y = (value) =>
    height - bottom - ((Math.max(y0, Math.min(value, y1)) - y0) / (y1 - y0)) * (height - top - bottom);
  const body = [];
  if (shade !== undefined) {
    const width = x(shade.to) - x(shade.from);
    body.push(
      `<rect class="shade" x="${x(shade.from).toFixed(1)}" y="${top}" width="${width.toFixed(1)}" height="${height - top - bottom}"/>`,
    );
    body.push(
      `<text class="small" x="${(x(shade.from) + width / 2).toFixed(1)}" y="${height - bottom - 8}" text-anchor="middle">${entities(shade.name)}</text>`,
    );
  }
  for (const [value, text] of yTicks) {
    const at = y(value).toFixed(1);
    body.push(`<line class="grid" x1="${left}" x2="${WIDTH - right}" y1="${at}" y2="${at}"/>`);
    body.push(
      `<text class="small" x="${left - 8}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${entities(text)}</text>`,
    );
  }
  for (const [value, text] of xTicks) {
    body.push(
      `<text class="small" x="${x(value).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${entities(text)}</text>`,
    );
  }
  body.push(
    `<text class="small" x="${(left + WIDTH - right) / 2}" y="${height - 8}" text-anchor="middle">${entities(xName)}</text>`,
  );
  body.push(`<text class="small" x="16" y="${top - 12}">${entities(yName)}</text>`);
  const labels = apart(
    series.map(({ points }) => y(points.at(-1)[1])),
    16,
  );
  series.forEach(({ name, points }, i) => {
    const path = points
      .map(([px, py], at) => `${at === 0 ? 'M' : 'L'}${x(px).toFixed(1)} ${y(py).toFixed(1)}`)
      .join('');
    const dash = DASH[i] === '' ? '' : ` stroke-dasharray="${DASH[i]}"`;
    body.push(`<path class="line s${i}"${dash} d="${path}"/>`);
    const end = x(points.at(-1)[0]) + 8;
    const beside = labels[i].toFixed(1);
    body.push(
      `<line class="line s${i}"${dash} x1="${end.toFixed(1)}" x2="${(end + 18).toFixed(1)}" y1="${beside}" y2="${beside}"/>`,
    );
    body.push(
      `<text class="f${i}" x="${(end + 24).toFixed(1)}" y="${(labels[i] + 4).toFixed(1)}">${entities(name)}</text>`,
    );
  });
  return page(height, title, body);
}

/** The same heights, moved so that no two are closer than `gap`. */
function apart(heights, gap) {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b]);
  const moved = [...heights];
  for (let i = 1; i < order.length; i++) moved[order[i]] = Math.max(moved[order[i]], moved[order[i - 1]] + gap);
  return moved;
}
