(function () {
  var svg = document.documentElement, margin = 10, width = 1180, letter = 7;
  var frames = Array.prototype.slice.call(document.querySelectorAll("g.f")).map(function (g) {
    return { g: g, x: +g.dataset.x, w: +g.dataset.w, name: g.dataset.n, rect: g.querySelector("rect"),
      text: g.querySelector("text"), title: g.querySelector("title").textContent };
  });
  frames.forEach(function (f) { f.y = +f.rect.getAttribute("y"); });
  var detail = document.getElementById("detail"), summary = detail.textContent;
  var reset = document.getElementById("reset"), matched = document.getElementById("matched");

  function label(name, w) {
    var room = Math.floor((w - 6) / letter);
    if (room >= name.length) return name;
    return room < 3 ? "" : name.slice(0, room - 2) + "..";
  }
  function zoom(to) {
    var scale = width / to.w, slack = 0.002;
    frames.forEach(function (f) {
      var below = f.y > to.y && f.x <= to.x + slack && f.x + f.w >= to.x + to.w - slack;
      var inside = f.y <= to.y && f.x >= to.x - slack && f.x + f.w <= to.x + to.w + slack;
      f.g.style.display = below || inside ? "" : "none";
      f.g.classList.toggle("dim", below);
      if (!below && !inside) return;
      var x = below ? 0 : (f.x - to.x) * scale, w = below ? width : f.w * scale;
      f.rect.setAttribute("x", x + margin);
      f.rect.setAttribute("width", w);
      f.text.setAttribute("x", x + margin + 3);
      f.text.textContent = label(f.name, w);
    });
    reset.setAttribute("visibility", to === frames[0] ? "hidden" : "visible");
  }
  function search(what) {
    var found = [], sum = 0, end = 0;
    what = (what || "").toLowerCase();
    frames.forEach(function (f) {
      var hit = what !== "" && f.name.toLowerCase().indexOf(what) >= 0;
      f.g.classList.toggle("found", hit);
      if (hit) found.push(f);
    });
    found.sort(function (a, b) { return a.x - b.x; });
    found.forEach(function (f) { // a frame above one that counts must not count again
      var from = Math.max(f.x, end), to = f.x + f.w;
      if (to > from) { sum += to - from; end = to; }
    });
    matched.textContent = what === "" ? "" : "found in " + (100 * sum / frames[0].w).toFixed(1) + "%";
  }
  function ask() {
    var what = window.prompt("Part of the function's name; nothing ends the search:", "");
    if (what !== null) search(what);
  }
  frames.forEach(function (f) {
    f.g.addEventListener("click", function () { zoom(f); });
    f.g.addEventListener("mouseover", function () { detail.textContent = f.title; });
    f.g.addEventListener("mouseout", function () { detail.textContent = summary; });
  });
  reset.addEventListener("click", function () { zoom(frames[0]); });
  document.getElementById("search").addEventListener("click", ask);
  svg.addEventListener("keydown", function (e) {
    if ((e.ctrlKey || e.metaKey) && e.key === "f") { e.preventDefault(); ask(); }
    if (e.key === "Escape") { search(""); zoom(frames[0]); }
  });
})();
