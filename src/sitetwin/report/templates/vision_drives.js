"use strict";
(() => {
  const all = JSON.parse(document.getElementById("drives-data").textContent).drives;
  const $ = (id) => document.getElementById(id);
  const CLASSES = { car: "#e69f00", van: "#d55e00", bus: "#cc79a7", truck: "#cc79a7", pole: "#56b4e9", tree: "#009e73",
    person: "#f0e442", bicycle: "#f0e442", motorcycle: "#f0e442", user: "#ffffff" };
  const SHOWN = 60;
  const CURVES = JSON.parse($("curves").textContent);
  const hidden = new Set();
  const eye = { turn: 0, rise: 0.55, away: 46 };
  let timer = null;

  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colourOf = (name) => CLASSES[name] || "#999999";
  const drive = () => all[Number($("drive").value)];
  const moment = () => drive().moments[Number($("moment").value)];

  /* A canvas as sharp as the screen, with its context in CSS pixels. */
  function sheet(id) {
    const canvas = $(id), dense = window.devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
    canvas.width = Math.round(wide * dense);
    canvas.height = Math.round(high * dense);
    const pen = canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, wide, high);
    pen.lineWidth = 1.5;
    pen.font = "12px system-ui, sans-serif";
    return [pen, wide, high];
  }

  function line(pen, points, colour, dash) {
    pen.save();
    pen.strokeStyle = colour;
    pen.setLineDash(dash || []);
    pen.beginPath();
    points.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    pen.restore();
  }

  function dot(pen, x, y, radius, fill, edge) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    if (fill) { pen.fillStyle = fill; pen.fill(); }
    if (edge) { pen.strokeStyle = edge; pen.stroke(); }
  }

  function drawCamera() {
    const [pen, wide, high] = sheet("seen"), one = moment(), [columns, rows] = drive().size;
    const picture = $("frame"), across = wide / columns, down = high / rows;
    if (picture.complete && picture.naturalWidth) pen.drawImage(picture, 0, 0, wide, high);
    line(pen, drive().horizon.map(([x, y]) => [x * across, y * down]), "#ffffff", [7, 5]);
    for (const [name, [left, upper, right, lower]] of one.boxes) {
      pen.strokeStyle = colourOf(name);
      pen.strokeRect(left * across, upper * down, (right - left) * across, (lower - upper) * down);
    }
    for (const [x, y] of one.marks) dot(pen, x * across, y * down, 5, null, "#39ff14");
  }

  /* Corners of a box on the ground: the four of its foot, then the four of its top. */
  function corners([x, y, heading, length, width, height]) {
    const c = Math.cos(heading), s = Math.sin(heading), found = [];
    for (const z of [0.2, height]) {
      for (const [along, aside] of [[1, 1], [1, -1], [-1, -1], [-1, 1]]) {
        const a = (along * length) / 2, b = (aside * width) / 2;
        found.push([x + c * a - s * b, y + s * a + c * b, z]);
      }
    }
    return found;
  }

  /* Metres ahead of the array, to its left, and over the ground. */
  function local([x, y, z]) {
    const [sx, sy] = drive().station, turn = (drive().boresight_deg * Math.PI) / 180;
    const c = Math.cos(turn), s = Math.sin(turn);
    return [c * (x - sx) + s * (y - sy), c * (y - sy) - s * (x - sx), z || 0];
  }

  function drawAbove() {
    const [pen, wide, high] = sheet("above"), one = moment();
    const scale = wide / 84, at = (point) => {
      const [ahead, left] = local(point);
      return [wide / 2 - left * scale, high - (ahead + 6) * scale];
    };
    pen.fillStyle = ink("--line");
    for (const wall of drive().walls) {
      pen.beginPath();
      for (const k of [0, 3, 6]) pen.lineTo(...at(wall.slice(k, k + 3)));
      pen.closePath();
      pen.fill();
    }
    const half = (drive().half_span_deg * Math.PI) / 180, mast = at(drive().station), reach = 60 * scale;
    for (const side of [-half, half]) {
      line(pen, [mast, [mast[0] + reach * Math.sin(side), mast[1] - reach * Math.cos(side)]], ink("--soft"), [2, 5]);
    }
    for (const [name, numbers] of one.vehicles) {
      const foot = corners(numbers).slice(0, 4).map(at);
      line(pen, [...foot, foot[0]], name === "user" ? ink("--accent") : ink("--soft"), name === "user" ? [] : [4, 3]);
    }
    for (const [name, numbers] of one.objects) {
      const foot = corners(numbers).slice(0, 4).map(at);
      line(pen, [...foot, foot[0]], colourOf(name));
    }
    for (const [name, numbers] of one.reflectors) dot(pen, ...at(numbers), 3.5, colourOf(name), ink("--ink"));
    line(pen, [mast, at(one.place)], sightColour(one));
    dot(pen, ...mast, 5, ink("--ink"));
    if (one.tracked) dot(pen, ...at(one.tracked), 4, ink("--accent"));
    const [x, y] = at(one.fix);
    line(pen, [[x - 5, y - 5], [x + 5, y + 5]], ink("--ink"));
    line(pen, [[x - 5, y + 5], [x + 5, y - 5]], ink("--ink"));
    line(pen, [[12, high - 12], [12 + 10 * scale, high - 12]], ink("--ink"));
    pen.fillStyle = ink("--ink");
    pen.fillText("10 m", 16, high - 18);
  }

  function drawSpace() {
    const [pen, wide, high] = sheet("space"), one = moment(), middle = [16, 0, 2], near = 0.5;
    const ct = Math.cos(eye.turn), st = Math.sin(eye.turn), cr = Math.cos(eye.rise), sr = Math.sin(eye.rise);
    const look = (point) => {
      const [ahead, left, up] = local(point), a = ahead - middle[0], b = left - middle[1], h = up - middle[2];
      const along = ct * a + st * b, aside = ct * b - st * a;
      return [-aside, sr * along + cr * h, cr * along - sr * h + eye.away];
    };
    const focal = 0.9 * wide, flat = ([x, y, depth]) => [wide / 2 + (focal * x) / depth, high / 2 - (focal * y) / depth];
    const clipped = (points) => {
      const kept = [];
      points.forEach((p, k) => {
        const q = points[(k + 1) % points.length];
        if (p[2] > near) kept.push(p);
        if (p[2] > near !== q[2] > near) {
          const t = (near - p[2]) / (q[2] - p[2]);
          kept.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]), near]);
        }
      });
      return kept;
    };
    const faces = [];
    const face = (points, fill, edge, alpha) => {
      const seen = clipped(points.map(look));
      if (seen.length < 3) return;
      faces.push({ depth: seen.reduce((sum, p) => sum + p[2], 0) / seen.length, seen: seen.map(flat), fill, edge, alpha });
    };
    for (const wall of drive().walls) face([0, 3, 6].map((k) => wall.slice(k, k + 3)), ink("--soft"), null, 0.16);
    const sides = [[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7]];
    for (const [name, numbers] of one.objects) {
      const found = corners(numbers);
      for (const side of sides) face(side.map((k) => found[k]), colourOf(name), ink("--ink"), 0.75);
    }
    const own = one.vehicles.find(([name]) => name === "user");
    if (own) {
      const found = corners(own[1]);
      for (const side of sides) face(side.map((k) => found[k]), ink("--page"), ink("--accent"), 0.35);
    }
    faces.sort((p, q) => q.depth - p.depth);
    const stroke = (from, to, colour, dash) => {
      const ends = clipped([look(from), look(to)]);
      if (ends.length >= 2) line(pen, [flat(ends[0]), flat(ends[1])], colour, dash);
    };
    const turn = (drive().boresight_deg * Math.PI) / 180, [sx, sy, sz] = drive().station;
    const ground = (a, b) => [sx + Math.cos(turn) * a - Math.sin(turn) * b, sy + Math.sin(turn) * a + Math.cos(turn) * b, 0];
    for (let k = -40; k <= 40; k += 10) stroke(ground(0, k), ground(40, k), ink("--line"));
    for (let k = 0; k <= 40; k += 10) stroke(ground(k, -40), ground(k, 40), ink("--line"));
    for (const { seen, fill, edge, alpha } of faces) {
      pen.beginPath();
      seen.forEach((p) => pen.lineTo(...p));
      pen.closePath();
      pen.globalAlpha = alpha;
      pen.fillStyle = fill;
      pen.fill();
      pen.globalAlpha = 1;
      if (edge) { pen.lineWidth = 0.8; pen.strokeStyle = edge; pen.stroke(); pen.lineWidth = 1.5; }
    }
    const mark = (point, radius, fill) => {
      const p = look(point);
      if (p[2] > near) dot(pen, ...flat(p), radius, fill, ink("--ink"));
    };
    for (const [name, numbers] of one.reflectors) mark(numbers, 4, colourOf(name));
    stroke([sx, sy, sz], one.place, sightColour(one));
    stroke([sx, sy, 0], [sx, sy, sz], ink("--ink"));
    mark([sx, sy, sz], 5, ink("--ink"));
    mark(one.place, 5, ink("--accent"));
  }

  function drawProfiles() {
    const [pen, wide, high] = sheet("profiles"), one = moment(), left = 34, low = high - 40, span = wide - left - 12;
    const most = SHOWN;
    /* Azimuth grows to the left, as in the image. */
    const x = (degrees) => left + (span * (most - degrees)) / (2 * most), y = (share) => low - (low - 12) * share;
    pen.fillStyle = ink("--soft");
    pen.textAlign = "center";
    for (let degrees = -most; degrees <= most; degrees += 20) {
      line(pen, [[x(degrees), 12], [x(degrees), low]], ink("--line"));
      pen.fillText(`${degrees}°`, x(degrees), low + 16);
    }
    pen.fillText("azimuth from the boresight, to the left positive", left + span / 2, high - 6);
    pen.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      line(pen, [[left, y(share)], [left + span, y(share)]], ink("--line"));
      pen.fillText(share.toFixed(1), left - 5, y(share) + 4);
    }
    pen.textAlign = "left";
    const fix = local(one.fix), toFix = (Math.atan2(fix[1], fix[0]) * 180) / Math.PI;
    if (Math.abs(toFix) <= most) line(pen, [[x(toFix), 12], [x(toFix), low]], ink("--soft"), [5, 4]);
    CURVES.forEach(([name, colour, dash]) => {
      const curve = one.profiles[name];
      if (!curve || hidden.has(name)) return;
      pen.lineWidth = dash.length ? 1.8 : 2.4;
      line(pen, curve.map((share, k) => [x(k - most), y(share / 100)]), colour || ink("--ink"), dash);
      pen.lineWidth = 1.5;
    });
  }

  function draw() {
    drawCamera();
    drawAbove();
    drawSpace();
    drawProfiles();
  }

  /* A scenario has no clock: its moments are counted. */
  const when = (one) => (drive().synthetic ? `${one.time_s.toFixed(2)} s` : `row ${one.time_s + 1} of those shown`);

  /* The colour of the line of sight. */
  const sightColour = (one) => ink(one.blocked === null ? "--soft" : one.blocked ? "--bad" : "--good");

  function tell() {
    const one = moment(), best = one.picks[CURVES[0][0]];
    const rest = CURVES.slice(1).filter(([name]) => name in one.picks)
      .map(([name]) => `${name} ${one.picks[name].toFixed(0)}°`).join(", ");
    $("said").textContent = `Moment ${Number($("moment").value) + 1} of ${drive().moments.length}, ${when(one)}: `
      + (one.blocked === null ? "" : one.blocked ? "a vehicle stands in the line of sight. " : "line of sight. ")
      + (one.told === null ? "" : `The twin told blockage with ${(100 * one.told).toFixed(0)} %. `)
      + (best === undefined ? "" : `Best measured beam at ${best.toFixed(0)}°. `) + (rest ? `First picks: ${rest}.` : "")
      + (one.flags.length ? ` Flags: ${one.flags.join(", ")}.` : "");
    $("moment").setAttribute("aria-valuetext", when(one));
  }

  function show() {
    $("frame").src = "data:image/jpeg;base64," + moment().image;
    tell();
    draw();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    $("play").textContent = "Play";
  }

  function turned(event) {
    const steps = { ArrowLeft: [-0.1, 0, 1], ArrowRight: [0.1, 0, 1], ArrowUp: [0, 0.08, 1], ArrowDown: [0, -0.08, 1],
      "+": [0, 0, 0.85], "=": [0, 0, 0.85], "-": [0, 0, 1 / 0.85] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    move(...step);
  }

  function move(turn, rise, away) {
    eye.turn += turn;
    eye.rise = Math.min(1.5, Math.max(0.05, eye.rise + rise));
    eye.away = Math.min(120, Math.max(8, eye.away * away));
    drawSpace();
  }

  function begin() {
    const chosen = drive();
    $("moment").max = chosen.moments.length - 1;
    $("moment").value = 0;
    $("eyes").textContent = `${chosen.synthetic ? "synthetic" : "photographs and measured powers"}, seen by ${chosen.perception}`;
    show();
  }

  all.forEach((one, k) => $("drive").add(new Option(`${one.name} (${one.moments.length} moments)`, k)));
  $("drive").addEventListener("change", () => { stop(); begin(); });
  $("moment").addEventListener("input", () => { stop(); show(); });
  $("play").addEventListener("click", () => {
    if (timer) return stop();
    $("play").textContent = "Stop";
    timer = setInterval(() => {
      $("moment").value = (Number($("moment").value) + 1) % drive().moments.length;
      show();
    }, 600);
  });
  $("frame").addEventListener("load", drawCamera);
  document.querySelectorAll("[data-curve]").forEach((box) => box.addEventListener("change", () => {
    if (box.checked) hidden.delete(box.dataset.curve);
    else hidden.add(box.dataset.curve);
    drawProfiles();
  }));
  const space = $("space");
  space.addEventListener("keydown", turned);
  $("nearer").addEventListener("click", () => move(0, 0, 0.85));
  $("farther").addEventListener("click", () => move(0, 0, 1 / 0.85));
  space.addEventListener("pointerdown", (event) => space.setPointerCapture(event.pointerId));
  space.addEventListener("pointermove", (event) => {
    if (event.buttons) move(event.movementX / 150, event.movementY / 200, 1);
  });
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  begin();
})();
