// node_modules/svelte/src/internal/shared/utils.js
var e = Array.isArray, t = Array.prototype.indexOf, n = Array.prototype.includes, r = Array.from, i = Object.defineProperty, a = Object.getOwnPropertyDescriptor, o = Object.getOwnPropertyDescriptors, s = Object.prototype, c = Array.prototype, l = Object.getPrototypeOf, u = Object.isExtensible, d = () => {};
function f(e) {
	for (var t = 0; t < e.length; t++) e[t]();
}
function p() {
	var e, t;
	return {
		promise: new Promise((n, r) => {
			e = n, t = r;
		}),
		resolve: e,
		reject: t
	};
}
function m(e, t) {
	if (Array.isArray(e)) return e;
	if (t === void 0 || !(Symbol.iterator in e)) return Array.from(e);
	let n = [];
	for (let r of e) if (n.push(r), n.length === t) break;
	return n;
}
// node_modules/svelte/src/internal/client/constants.js
var h = 1 << 24, g = 1024, _ = 2048, v = 4096, y = 8192, b = 16384, x = 32768, S = 1 << 25, ee = 65536, te = 1 << 19, ne = 1 << 20, re = 1 << 25, ie = 1 << 21, ae = 1 << 22, oe = 1 << 23, se = Symbol("$state"), ce = Symbol("component"), le = Symbol("legacy props"), ue = Symbol(""), de = Symbol("attributes"), fe = Symbol("class"), pe = Symbol("style"), me = Symbol("text"), he = Symbol("form reset"), ge = new class extends Error {
	name = "StaleReactionError";
	message = "The reaction that called `getAbortSignal()` was re-run or destroyed";
}(), _e = !!globalThis.document?.contentType && /* @__PURE__ */ globalThis.document.contentType.includes("xml"), ve = {}, C = Symbol("uninitialized"), ye = "http://www.w3.org/1999/xhtml";
function be() {
	console.warn("https://svelte.dev/e/derived_inert");
}
function xe(e) {
	console.warn("https://svelte.dev/e/hydration_mismatch");
}
function Se() {
	console.warn("https://svelte.dev/e/svelte_boundary_reset_noop");
}
// node_modules/svelte/src/internal/client/dom/hydration.js
var w = !1;
function Ce(e) {
	w = e;
}
var T;
function E(e) {
	if (e === null) throw xe(), ve;
	return T = e;
}
function we() {
	return E(/* @__PURE__ */ Qt(T));
}
function D(e) {
	if (w) {
		if (/* @__PURE__ */ Qt(T) !== null) throw xe(), ve;
		T = e;
	}
}
function Te(e = 1) {
	if (w) {
		for (var t = e, n = T; t--;) n = /* @__PURE__ */ Qt(n);
		T = n;
	}
}
function Ee(e = !0) {
	for (var t = 0, n = T;;) {
		if (n.nodeType === 8) {
			var r = n.data;
			if (r === "]") {
				if (t === 0) return n;
				--t;
			} else (r === "[" || r === "[!" || r[0] === "[" && !isNaN(Number(r.slice(1)))) && (t += 1);
		}
		var i = /* @__PURE__ */ Qt(n);
		e && n.remove(), n = i;
	}
}
function De(e) {
	if (!e || e.nodeType !== 8) throw xe(), ve;
	return e.data;
}
// node_modules/svelte/src/internal/client/reactivity/equality.js
function Oe(e) {
	return e === this.v;
}
function ke(e, t) {
	return e == e ? e !== t || typeof e == "object" && !!e || typeof e == "function" : t == t;
}
function Ae(e) {
	return !ke(e, this.v);
}
// node_modules/svelte/src/internal/client/errors.js
function je() {
	throw Error("https://svelte.dev/e/async_derived_orphan");
}
function Me(e, t, n) {
	throw Error("https://svelte.dev/e/each_key_duplicate");
}
function Ne(e) {
	throw Error("https://svelte.dev/e/effect_in_teardown");
}
function Pe() {
	throw Error("https://svelte.dev/e/effect_in_unowned_derived");
}
function Fe(e) {
	throw Error("https://svelte.dev/e/effect_orphan");
}
function Ie() {
	throw Error("https://svelte.dev/e/effect_update_depth_exceeded");
}
function Le(e) {
	throw Error("https://svelte.dev/e/props_invalid_value");
}
function Re() {
	throw Error("https://svelte.dev/e/state_descriptors_fixed");
}
function ze() {
	throw Error("https://svelte.dev/e/state_prototype_fixed");
}
function Be() {
	throw Error("https://svelte.dev/e/state_unsafe_mutation");
}
function Ve() {
	throw Error("https://svelte.dev/e/svelte_boundary_reset_onerror");
}
// node_modules/svelte/src/internal/client/context.js
var O = null;
function He(e) {
	O = e;
}
function Ue(e, t = !1, n) {
	O = {
		p: O,
		i: !1,
		c: null,
		e: null,
		s: e,
		x: null,
		r: W,
		l: null
	};
}
function We(e) {
	var t = O, n = t.e;
	if (n !== null) {
		t.e = null;
		for (var r of n) pn(r);
	}
	return e !== void 0 && (t.x = e), t.i = !0, O = t.p, Ge(e);
}
function Ge(e = {}) {
	return i(e, ce, { value: !0 }), e;
}
function Ke() {
	return !0;
}
// node_modules/svelte/src/internal/client/dom/task.js
var qe = [];
function Je() {
	var e = qe;
	qe = [], f(e);
}
function Ye(e) {
	if (qe.length === 0 && !bt) {
		var t = qe;
		queueMicrotask(() => {
			t === qe && Je();
		});
	}
	qe.push(e);
}
function Xe() {
	for (; qe.length > 0;) Je();
}
// node_modules/svelte/src/internal/client/reactivity/status.js
var Ze = ~(_ | v | g);
function k(e, t) {
	e.f = e.f & Ze | t;
}
function Qe(e) {
	e.f & 512 || e.deps === null ? k(e, g) : k(e, v);
}
// node_modules/svelte/src/internal/client/reactivity/utils.js
function $e(e, t) {
	e.f & 2048 ? t.set(e, _) : e.f & 4096 && t.get(e) !== 2048 && t.set(e, v), k(e, g);
}
// node_modules/svelte/src/internal/client/dom/elements/misc.js
var et = !1;
function tt() {
	et || (et = !0, document.addEventListener("reset", (e) => {
		Promise.resolve().then(() => {
			if (!e.defaultPrevented) for (let t of e.target.elements) t[he]?.();
		});
	}, { capture: !0 }));
}
// node_modules/svelte/src/internal/client/dom/elements/bindings/shared.js
function nt(e) {
	var t = H, n = W;
	U(null), Pn(null);
	try {
		return e();
	} finally {
		U(t), Pn(n);
	}
}
function rt(e, t, n, r = n) {
	e.addEventListener(t, () => nt(n));
	let i = e[he];
	e[he] = i ? () => {
		i(), r(!0);
	} : () => r(!0), tt();
}
// node_modules/svelte/src/internal/client/reactivity/async.js
function it(e, t, n, r) {
	let i = Ke() ? ct : dt;
	var a = e.filter((e) => !e.settled), o = t.map(i);
	if (n.length === 0 && a.length === 0) {
		r(o);
		return;
	}
	var s = W, c = at(), l = a.length === 1 ? a[0].promise : a.length > 1 ? Promise.all(a.map((e) => e.promise)) : null;
	function u(e) {
		if (!(s.f & 16384)) {
			c();
			try {
				r([...o, ...e]);
			} catch (e) {
				on(e, s);
			}
			ot();
		}
	}
	var d = st();
	if (n.length === 0) {
		l.then(() => u([])).finally(d);
		return;
	}
	function f() {
		Promise.all(n.map((e) => /* @__PURE__ */ ut(e))).then(u).catch((e) => on(e, s)).finally(d);
	}
	l ? l.then(() => {
		s.f & 16384 ? d() : (c(), f(), ot());
	}) : f();
}
function at() {
	var e = W, t = H, n = O, r = j;
	return function(i = !0) {
		Pn(e), U(t), He(n), i && !(e.f & 16384) && (r?.activate(), r?.apply());
	};
}
function ot(e = !0) {
	Pn(null), U(null), He(null), e && j?.deactivate();
}
function st() {
	var e = W, t = e.b, n = j, r = !!t?.is_rendered();
	return t?.update_pending_count(1, n), n.increment(r, e), () => {
		t?.update_pending_count(-1, n), n.decrement(r, e);
	};
}
/*#__NO_SIDE_EFFECTS__*/
function ct(e) {
	var t = 2 | _;
	return W !== null && (W.f |= te), {
		ctx: O,
		deps: null,
		effects: null,
		equals: Oe,
		f: t,
		fn: e,
		reactions: null,
		rv: 0,
		v: C,
		wv: 0,
		parent: W,
		ac: null
	};
}
var lt = Symbol("obsolete");
/*#__NO_SIDE_EFFECTS__*/
function ut(e, t, n) {
	let r = W;
	r === null && je();
	var i = void 0, a = Lt(C), o = !H, s = /* @__PURE__ */ new Set();
	return gn(() => {
		var t = W, n = p();
		i = n.promise;
		try {
			Promise.resolve(e()).then(n.resolve, (e) => {
				e !== ge && n.reject(e);
			}).finally(ot);
		} catch (e) {
			n.reject(e), ot();
		}
		var c = j;
		if (o) {
			if (t.f & 32768) var l = st();
			if (r.b?.is_rendered()) c.async_deriveds.get(t)?.reject(lt);
			else for (let e of s.values()) e.reject(lt);
			s.add(n), c.async_deriveds.set(t, n);
		}
		let u = (e, t = void 0) => {
			l?.(), s.delete(n), t !== lt && (c.activate(), t ? (a.f |= oe, Vt(a, t)) : (a.f & 8388608 && (a.f ^= oe), Vt(a, e)), c.deactivate());
		};
		n.promise.then(u, (e) => u(null, e || "unknown"));
	}), dn(() => {
		for (let e of s) e.reject(lt);
	}), new Promise((e) => {
		function t(n) {
			function r() {
				n === i ? e(a) : t(i);
			}
			n.then(r, r);
		}
		t(i);
	});
}
/*#__NO_SIDE_EFFECTS__*/
function A(e) {
	let t = /* @__PURE__ */ ct(e);
	return In(t), t;
}
/*#__NO_SIDE_EFFECTS__*/
function dt(e) {
	let t = /* @__PURE__ */ ct(e);
	return t.equals = Ae, t;
}
function ft(e) {
	var t = e.effects;
	if (t !== null) {
		e.effects = null;
		for (var n = 0; n < t.length; n += 1) V(t[n]);
	}
}
function pt(e) {
	var t, n = W, r = e.parent;
	if (!jn && r !== null && e.v !== C && r.f & 24576) return be(), e.v;
	Pn(r);
	try {
		ft(e), t = Gn(e);
	} finally {
		Pn(n);
	}
	return t;
}
function mt(e) {
	var t = pt(e);
	!e.equals(t) && (e.wv = Hn(), (!j?.is_fork || e.deps === null) && (j === null ? e.v = t : (j.capture(e, t, !0), vt?.capture(e, t, !0)), e.deps === null)) ? k(e, g) : jn || (M === null ? Qe(e) : (un() || j?.is_fork) && M.set(e, t));
}
function ht(e) {
	if (e.effects !== null) for (let t of e.effects) (t.teardown || t.ac) && (t.teardown?.(), t.ac !== null && nt(() => {
		t.ac.abort(ge), t.ac = null;
	}), t.fn !== null && (t.teardown = d), Jn(t, 0), xn(t));
}
function gt(e) {
	if (e.effects !== null) for (let t of e.effects) t.teardown && t.fn !== null && Yn(t);
}
// node_modules/svelte/src/internal/client/reactivity/batch.js
var _t = null, j = null, vt = null, M = null, yt = null, bt = !1, xt = !1, St = null, Ct = null, wt = 0, Tt = 1, Et = class e {
	id = Tt++;
	started = !1;
	linked = !0;
	prev = null;
	next = null;
	async_deriveds = /* @__PURE__ */ new Map();
	current = /* @__PURE__ */ new Map();
	previous = /* @__PURE__ */ new Map();
	#e = /* @__PURE__ */ new Set();
	#t = /* @__PURE__ */ new Set();
	#n = 0;
	#r = /* @__PURE__ */ new Map();
	#i = null;
	#a = [];
	#o = [];
	#s = /* @__PURE__ */ new Map();
	#c = /* @__PURE__ */ new Map();
	#l = /* @__PURE__ */ new Set();
	is_fork = !1;
	#u = !1;
	constructor() {
		_t === null ? _t = this : (_t.next = this, this.prev = _t), _t = this;
	}
	#d() {
		if (this.is_fork) return !0;
		for (let e of this.#r.keys()) if (!this.#f(e)) return !0;
		return !1;
	}
	#f(e) {
		for (var t = e; t !== null; t = t.parent) if (this.#c.has(t)) return !0;
		return !1;
	}
	skip_effect(e) {
		this.#c.has(e) || this.#c.set(e, {
			d: [],
			m: []
		}), this.#l.delete(e);
	}
	unskip_effect(e, t = (e) => this.schedule(e)) {
		var n = this.#c.get(e);
		if (n) {
			this.#c.delete(e);
			for (var r of n.d) k(r, _), t(r);
			for (r of n.m) k(r, v), t(r);
		}
		this.#l.add(e);
	}
	#p() {
		var e = [];
		for (let i of this.#a) if (!(i.f & 16384 || !(i.f & 6144))) {
			for (var t = i, n = !1; t.parent !== null;) {
				t = t.parent;
				var r = t.f;
				if (r & 96) {
					if (!(r & 1024)) {
						n = !0;
						break;
					}
					t.f ^= g;
				}
			}
			n || e.push(t);
		}
		return this.#a = [], e;
	}
	#m() {
		this.started = !0;
		for (let [e, t] of this.#s) k(e, t), this.schedule(e);
		this.apply();
		for (var t = St = [], n = [], r = Ct = []; this.#a.length > 0;) {
			wt++ > 1e3 && (this.#b(), Ot());
			for (let e of this.#p()) try {
				this.#h(e, t, n);
			} catch (t) {
				throw Nt(e), this.#d() || this.discard(), t;
			}
		}
		if (j = null, r.length > 0) {
			var i = e.ensure();
			for (let e of r) i.schedule(e);
		}
		if (St = null, Ct = null, this.#d()) {
			this.#y(n), this.#y(t);
			for (let [e, t] of this.#c) Mt(e, t);
			r.length > 0 && j.#m();
			return;
		}
		let a = this.#g();
		if (a) this.#y(n), this.#y(t), a.#v(this);
		else {
			this.#s.clear();
			for (let e of this.#e) e(this);
			this.#e.clear(), vt = this, At(n), At(t), vt = null, this.#i?.resolve();
			var o = j;
			this.#n === 0 && (this.#a.length === 0 || o !== null) && this.#b(), o !== null && (Ft.clear(), o.#m());
		}
	}
	#h(e, t, n) {
		e.f ^= g;
		for (var r = e.first; r !== null;) {
			var i = r.f, a = !!(i & 96);
			if (!(a && i & 1024 || i & 8192 || this.#c.has(r)) && r.fn !== null) {
				a ? r.f ^= g : i & 4 ? t.push(r) : Un(r) && (i & 16 && this.add_dirty_reaction(r, v), Yn(r));
				var o = r.first;
				if (o !== null) {
					r = o;
					continue;
				}
			}
			for (; r !== null;) {
				var s = r.next;
				if (s !== null) {
					r = s;
					break;
				}
				r = r.parent;
			}
		}
	}
	#g() {
		for (var e = this.prev; e !== null; e = e.prev) if (!e.is_fork && this.#_(e)) return e;
		return null;
	}
	#_(e) {
		for (let [t, [, n]] of this.current) if (!n && e.current.has(t)) return !0;
		return !1;
	}
	#v(e) {
		for (let [t, n] of e.current) !this.previous.has(t) && e.previous.has(t) && this.previous.set(t, e.previous.get(t)), this.current.set(t, n);
		for (let [t, n] of e.async_deriveds) {
			let e = this.async_deriveds.get(t);
			e && n.promise.then(e.resolve).catch(e.reject);
		}
		e.async_deriveds.clear(), this.transfer_reactions(e.#s);
		let t = (e) => {
			var n = e.reactions;
			if (n !== null && !(e.f & 2 && !(e.f & 6144))) for (let e of n) {
				var r = e.f;
				if (r & 2) t(e);
				else {
					var i = e;
					r & 4194320 && !this.async_deriveds.has(i) && (this.#s.delete(i), k(i, _), this.schedule(i));
				}
			}
		};
		for (let e of this.current.keys()) t(e);
		this.oncommit(() => e.discard()), e.#b(), j = this, this.#m();
	}
	#y(e) {
		for (var t = 0; t < e.length; t += 1) $e(e[t], this.#s);
	}
	capture(e, t, n = !1) {
		e.v !== C && !this.previous.has(e) && this.previous.set(e, e.v), e.f & 8388608 || (this.current.set(e, [t, n]), M?.set(e, t)), this.is_fork || (e.v = t);
	}
	activate() {
		j = this;
	}
	deactivate() {
		j = null, M = null;
	}
	flush() {
		try {
			xt = !0, j = this, this.#m();
		} finally {
			wt = 0, yt = null, St = null, Ct = null, xt = !1, j = null, M = null, Ft.clear();
		}
	}
	discard() {
		for (let e of this.#t) e(this);
		this.#t.clear();
		for (let e of this.async_deriveds.values()) e.reject(lt);
		this.#b(), this.#i?.resolve();
	}
	register_created_effect(e) {
		this.#o.push(e);
	}
	increment(e, t) {
		if (this.#n += 1, e) {
			let e = this.#r.get(t) ?? 0;
			this.#r.set(t, e + 1);
		}
	}
	decrement(e, t) {
		if (--this.#n, e) {
			let e = this.#r.get(t) ?? 0;
			e === 1 ? this.#r.delete(t) : this.#r.set(t, e - 1);
		}
		this.#u || (this.#u = !0, Ye(() => {
			this.#u = !1, this.linked && this.flush();
		}));
	}
	transfer_reactions(e) {
		for (let [t, n] of e) this.add_dirty_reaction(t, n);
		e.clear();
	}
	add_dirty_reaction(e, t) {
		(t === 2048 || this.#s.get(e) !== 2048) && this.#s.set(e, t);
	}
	oncommit(e) {
		this.#e.add(e);
	}
	ondiscard(e) {
		this.#t.add(e);
	}
	settled() {
		return (this.#i ??= p()).promise;
	}
	static ensure() {
		if (j === null) {
			let t = j = new e();
			!xt && !bt && Ye(() => {
				t.started || t.flush();
			});
		}
		return j;
	}
	apply() {
		M = null;
	}
	schedule(e) {
		yt = e, e.b?.is_pending && e.f & 16777228 && !(e.f & 32768) ? e.b.defer_effect(e) : this.#a.push(e);
	}
	#b() {
		if (this.linked) {
			var e = this.prev, t = this.next;
			e === null || (e.next = t), t === null ? _t = e : t.prev = e, this.linked = !1;
		}
	}
};
function Dt(e) {
	var t = bt, n = vt;
	vt = null, bt = !0;
	try {
		var r;
		for (e && (Dt(), r = e());;) {
			if (Xe(), j === null) return r;
			j.flush();
		}
	} finally {
		bt = t, vt = n;
	}
}
function Ot() {
	try {
		Ie();
	} catch (e) {
		on(e, yt);
	}
}
var kt = null;
function At(e) {
	var t = e.length;
	if (t !== 0) {
		for (var n = 0; n < t;) {
			var r = e[n++];
			if (!(r.f & 24576) && Un(r) && (kt = /* @__PURE__ */ new Set(), Yn(r), r.deps === null && r.first === null && r.nodes === null && r.teardown === null && r.ac === null && wn(r), kt?.size > 0)) {
				Ft.clear();
				for (let e of kt) {
					if (e.f & 24576) continue;
					let t = [e], n = e.parent;
					for (; n !== null;) kt.has(n) && (kt.delete(n), t.push(n)), n = n.parent;
					for (let e = t.length - 1; e >= 0; e--) {
						let n = t[e];
						n.f & 24576 || Yn(n);
					}
				}
				kt.clear();
			}
		}
		kt = null;
	}
}
function jt(e) {
	j.schedule(e);
}
function Mt(e, t) {
	if (!(e.f & 32 && e.f & 1024)) {
		e.f & 2048 ? t.d.push(e) : e.f & 4096 && t.m.push(e), k(e, g);
		for (var n = e.first; n !== null;) Mt(n, t), n = n.next;
	}
}
function Nt(e) {
	k(e, g);
	for (var t = e.first; t !== null;) Nt(t), t = t.next;
}
// node_modules/svelte/src/internal/client/reactivity/sources.js
var Pt = /* @__PURE__ */ new Set(), Ft = /* @__PURE__ */ new Map(), It = !1;
function Lt(e, t) {
	return {
		f: 0,
		v: e,
		reactions: null,
		equals: Oe,
		rv: 0,
		wv: 0
	};
}
/*#__NO_SIDE_EFFECTS__*/
function N(e, t) {
	let n = Lt(e, t);
	return In(n), n;
}
/*#__NO_SIDE_EFFECTS__*/
function Rt(e, t = !1, n = !0) {
	let r = Lt(e);
	return t || (r.equals = Ae), r;
}
function P(e, t, n = !1) {
	return H !== null && (!Nn || H.f & 131072) && Ke() && H.f & 4325394 && (Fn === null || !Fn.has(e)) && Be(), Vt(e, n ? Gt(t) : t, Ct);
}
var zt = null, Bt = 0;
function Vt(e, t, n = null) {
	if (!e.equals(t)) {
		jn ? Ft.set(e, t) : Ft.has(e) || Ft.set(e, e.v);
		var r = Et.ensure();
		if (r.capture(e, t), e.f & 2) {
			let t = e;
			e.f & 2048 && pt(t), M === null && Qe(t);
		}
		e.wv = Hn(), zt = null, Bt = 0, Wt(e, _, n), zt = null, Ke() && W !== null && W.f & 1024 && !(W.f & 96) && (q === null ? Ln([e]) : q.push(e)), !r.is_fork && Pt.size > 0 && !It && Ht();
	}
	return t;
}
function Ht() {
	It = !1;
	for (let e of Pt) {
		e.f & 1024 && k(e, v);
		let t;
		try {
			t = Un(e);
		} catch {
			t = !0;
		}
		t && Yn(e);
	}
	Pt.clear();
}
function Ut(e) {
	P(e, e.v + 1);
}
function Wt(e, t, n) {
	var r = e.reactions;
	if (r !== null) {
		var i = Ke(), a = r.length;
		if (Bt += a, Bt > 1e5 && zt === null && (zt = /* @__PURE__ */ new Set()), zt !== null) {
			if (zt.has(e)) return;
			zt.add(e);
		}
		for (var o = 0; o < a; o++) {
			var s = r[o], c = s.f;
			if (i || s !== W) {
				var l = (c & _) === 0;
				if (l && k(s, t), c & 131072) Pt.add(s);
				else if (c & 2) {
					var u = s;
					M?.delete(u), Wt(u, v, n);
				} else if (l) {
					var d = s;
					c & 16 && kt !== null && kt.add(d), n === null ? jt(d) : n.push(d);
				}
			}
		}
	}
}
function Gt(t) {
	if (typeof t != "object" || !t || se in t || ce in t) return t;
	let n = l(t);
	if (n !== s && n !== c) return t;
	var r = /* @__PURE__ */ new Map(), i = e(t), o = /* @__PURE__ */ N(0), u = null, d = Bn, f = (e) => {
		if (Bn === d) return e();
		var t = H, n = Bn;
		U(null), Vn(d);
		var r = e();
		return U(t), Vn(n), r;
	};
	return i && r.set("length", /* @__PURE__ */ N(t.length, u)), new Proxy(t, {
		defineProperty(e, t, n) {
			"value" in n && n.configurable !== !1 && n.enumerable !== !1 && n.writable !== !1 || Re();
			var i = r.get(t);
			return i === void 0 ? f(() => {
				var e = /* @__PURE__ */ N(n.value, u);
				return r.set(t, e), e;
			}) : P(i, n.value, !0), !0;
		},
		deleteProperty(e, t) {
			var n = r.get(t);
			if (n === void 0) {
				if (t in e) {
					let e = f(() => /* @__PURE__ */ N(C, u));
					r.set(t, e), Ut(o);
				}
			} else P(n, C), Ut(o);
			return !0;
		},
		get(e, n, i) {
			if (n === se) return t;
			var o = r.get(n), s = n in e;
			if (o === void 0 && (!s || a(e, n)?.writable) && (o = f(() => /* @__PURE__ */ N(Gt(s ? e[n] : C), u)), r.set(n, o)), o !== void 0) {
				var c = J(o);
				return c === C ? void 0 : c;
			}
			return Reflect.get(e, n, i);
		},
		getOwnPropertyDescriptor(e, t) {
			this.has?.(e, t);
			var n = Reflect.getOwnPropertyDescriptor(e, t), i = r.get(t);
			if (i !== void 0) {
				var a = J(i);
				if (a === C) return;
				if (n && "value" in n) n.value = a;
				else return {
					enumerable: !0,
					configurable: !0,
					value: a,
					writable: !0
				};
			}
			return n;
		},
		has(e, t) {
			if (t === se) return !0;
			var n = r.get(t), i = n !== void 0 && n.v !== C || Reflect.has(e, t);
			return (n !== void 0 || (W !== null || H !== null) && (!i || a(e, t)?.writable)) && (n === void 0 && (n = f(() => /* @__PURE__ */ N(i ? Gt(e[t]) : C, u)), r.set(t, n)), J(n) === C) ? !1 : i;
		},
		set(e, t, n, s) {
			var c = r.get(t), l = t in e;
			if (i && t === "length") for (var d = n; d < c.v; d += 1) {
				var p = r.get(d + "");
				p === void 0 ? d in e && (p = f(() => /* @__PURE__ */ N(C, u)), r.set(d + "", p)) : P(p, C);
			}
			if (c === void 0) (!l || a(e, t)?.writable) && (c = f(() => /* @__PURE__ */ N(void 0, u)), P(c, Gt(n)), r.set(t, c));
			else {
				l = c.v !== C;
				var m = f(() => Gt(n));
				P(c, m);
			}
			var h = Reflect.getOwnPropertyDescriptor(e, t);
			if (h?.set && h.set.call(s, n), !l) {
				if (i && typeof t == "string") {
					var g = r.get("length"), _ = Number(t);
					Number.isInteger(_) && _ >= g.v && P(g, _ + 1);
				}
				Ut(o);
			}
			return !0;
		},
		ownKeys(e) {
			J(o);
			var t = Reflect.ownKeys(e).filter((e) => {
				var t = r.get(e);
				return t === void 0 || t.v !== C;
			});
			for (var [n, i] of r) i.v !== C && !(n in e) && t.push(n);
			return t;
		},
		setPrototypeOf() {
			ze();
		}
	});
}
var Kt, qt, Jt, Yt;
function Xt() {
	if (Kt === void 0) {
		Kt = window, qt = /Firefox/.test(navigator.userAgent);
		var e = Element.prototype, t = Node.prototype, n = Text.prototype;
		Jt = a(t, "firstChild").get, Yt = a(t, "nextSibling").get, u(e) && (e[fe] = void 0, e[de] = null, e[pe] = void 0, e.__e = void 0), u(n) && (n[me] = void 0);
	}
}
function F(e = "") {
	return document.createTextNode(e);
}
/*@__NO_SIDE_EFFECTS__*/
function Zt(e) {
	return Jt.call(e);
}
/*@__NO_SIDE_EFFECTS__*/
function Qt(e) {
	return Yt.call(e);
}
function I(e, t) {
	if (!w) return /* @__PURE__ */ Zt(e);
	var n = /* @__PURE__ */ Zt(T);
	if (n === null) n = T.appendChild(F());
	else if (t && n.nodeType !== 3) {
		var r = F();
		return n?.before(r), E(r), r;
	}
	return t && rn(n), E(n), n;
}
function $t(e, t = !1) {
	if (!w) {
		var n = /* @__PURE__ */ Zt(e);
		return n instanceof Comment && n.data === "" ? /* @__PURE__ */ Qt(n) : n;
	}
	if (t) {
		if (T?.nodeType !== 3) {
			var r = F();
			return T?.before(r), E(r), r;
		}
		rn(T);
	}
	return T;
}
function L(e, t = !1) {
	if (!w) return /* @__PURE__ */ Zt(e);
	var n = I(e, t);
	return D(e), n;
}
function R(e, t = 1, n = !1) {
	let r = w ? T : e;
	for (var i; t--;) i = r, r = /* @__PURE__ */ Qt(r);
	if (!w) return r;
	if (n) {
		if (r?.nodeType !== 3) {
			var a = F();
			return r === null ? i?.after(a) : r.before(a), E(a), a;
		}
		rn(r);
	}
	return E(r), r;
}
function en(e) {
	e.textContent = "";
}
function tn() {
	return !1;
}
function nn(e, t, n) {
	return t == null || t === "http://www.w3.org/1999/xhtml" ? n ? document.createElement(e, { is: n }) : document.createElement(e) : n ? document.createElementNS(t, e, { is: n }) : document.createElementNS(t, e);
}
function rn(e) {
	if (e.nodeValue.length < 65536) return;
	let t = e.nextSibling;
	for (; t !== null && t.nodeType === 3;) t.remove(), e.nodeValue += t.nodeValue, t = e.nextSibling;
}
function an(e) {
	var t = W;
	if (t === null) return H.f |= oe, e;
	if (!(t.f & 32768) && !(t.f & 4)) throw e;
	on(e, t);
}
function on(e, t) {
	if (e === ve) throw e;
	if (!(t !== null && t.f & 16384)) {
		for (; t !== null;) {
			if (t.f & 128 && !(t.f & 33570816)) {
				if (!(t.f & 32768)) throw e;
				try {
					t.b.error(e);
					return;
				} catch (t) {
					e = t;
				}
			}
			t = t.parent;
		}
		throw e;
	}
}
// node_modules/svelte/src/internal/client/reactivity/effects.js
function sn(e) {
	W === null && (H === null && Fe(e), Pe()), jn && Ne(e);
}
function cn(e, t) {
	var n = t.last;
	n === null ? t.last = t.first = e : (n.next = e, e.prev = n, t.last = e);
}
function ln(e, t) {
	var n = W;
	n !== null && n.f & 8192 && (e |= y);
	var r = {
		ctx: O,
		deps: null,
		nodes: null,
		f: e | _ | 512,
		first: null,
		fn: t,
		last: null,
		next: null,
		parent: n,
		b: n && n.b,
		prev: null,
		teardown: null,
		wv: 0,
		ac: null
	};
	j?.register_created_effect(r);
	var i = r;
	if (e & 4) St === null ? Et.ensure().schedule(r) : St.push(r);
	else if (t !== null) {
		try {
			Yn(r);
		} catch (e) {
			throw V(r), e;
		}
		i.deps === null && i.teardown === null && i.nodes === null && i.first === i.last && !(i.f & 524288) && (i = i.first, e & 16 && e & 65536 && i !== null && (i.f |= ee));
	}
	if (i !== null && (i.parent = n, n !== null && cn(i, n), H !== null && H.f & 2 && !(e & 64))) {
		var a = H;
		(a.effects ??= []).push(i);
	}
	return r;
}
function un() {
	return H !== null && !Nn;
}
function dn(e) {
	let t = ln(8, null);
	return k(t, g), t.teardown = e, t;
}
function fn(e) {
	sn("$effect");
	var t = W.f;
	if (!H && t & 32 && O !== null && !O.i) {
		var n = O;
		(n.e ??= []).push(e);
	} else return pn(e);
}
function pn(e) {
	return ln(4 | ne, e);
}
function mn(e) {
	Et.ensure();
	let t = ln(64 | te, e);
	return (e = {}) => new Promise((n) => {
		e.outro ? Tn(t, () => {
			V(t), n(void 0);
		}) : (V(t), n(void 0));
	});
}
function hn(e) {
	return ln(4, e);
}
function gn(e) {
	return ln(ae | te, e);
}
function _n(e, t = 0) {
	return ln(8 | t, e);
}
function z(e, t = [], n = [], r = []) {
	it(r, t, n, (t) => {
		ln(8, () => {
			e(...t.map(J));
		});
	});
}
function vn(e, t = 0) {
	return ln(16 | t, e);
}
function yn(e, t = 0) {
	return ln(h | t, e);
}
function B(e) {
	return ln(32 | te, e);
}
function bn(e) {
	var t = e.teardown;
	if (t !== null) {
		let n = jn, r = H;
		Mn(!0), U(null);
		try {
			t.call(null);
		} catch (t) {
			on(t, e.parent);
		} finally {
			Mn(n), U(r);
		}
	}
}
function xn(e, t = !1) {
	var n = e.first;
	for (e.first = e.last = null; n !== null;) {
		let e = n.ac;
		e !== null && nt(() => {
			e.abort(ge);
		});
		var r = n.next;
		n.f & 64 ? n.parent = null : V(n, t), n = r;
	}
}
function Sn(e) {
	for (var t = e.first; t !== null;) {
		var n = t.next;
		t.f & 32 || V(t), t = n;
	}
}
function V(e, t = !0) {
	var n = !1;
	(t || e.f & 262144) && e.nodes !== null && e.nodes.end !== null && (Cn(e.nodes.start, e.nodes.end), n = !0), e.f |= S, xn(e, t && !n), Jn(e, 0);
	var r = e.nodes && e.nodes.t;
	if (r !== null) for (let e of r) e.stop();
	bn(e), e.f ^= S, e.f |= b;
	var i = e.parent;
	i !== null && i.first !== null && wn(e), e.next = e.prev = e.teardown = e.ctx = e.deps = e.fn = e.nodes = e.ac = e.b = null;
}
function Cn(e, t) {
	for (; e !== null;) {
		var n = e === t ? null : /* @__PURE__ */ Qt(e);
		e.remove(), e = n;
	}
}
function wn(e) {
	var t = e.parent, n = e.prev, r = e.next;
	n !== null && (n.next = r), r !== null && (r.prev = n), t !== null && (t.first === e && (t.first = r), t.last === e && (t.last = n));
}
function Tn(e, t, n = !0) {
	var r = [];
	e.f |= 256, En(e, r, !0);
	var i = () => {
		n && V(e), t && t();
	}, a = r.length;
	if (a > 0) {
		var o = () => --a || i();
		for (var s of r) s.out(o);
	} else i();
}
function En(e, t, n) {
	if (!(e.f & 8192)) {
		e.f ^= y;
		var r = e.nodes && e.nodes.t;
		if (r !== null) for (let e of r) (e.is_global || n) && t.push(e);
		for (var i = e.first; i !== null;) {
			var a = i.next;
			if (!(i.f & 64)) {
				var o = !!(i.f & 65536) || !!(i.f & 32) && !!(e.f & 16);
				En(i, t, o ? n : !1);
			}
			i = a;
		}
	}
}
function Dn(e) {
	e.f &= -257, On(e, !0);
}
function On(e, t) {
	if (!(e.f & 256) && e.f & 8192) {
		e.f ^= y, e.f & 1024 || (k(e, _), Et.ensure().schedule(e));
		for (var n = e.first; n !== null;) {
			var r = n.next, i = !!(n.f & 65536) || !!(n.f & 32);
			On(n, i ? t : !1), n = r;
		}
		var a = e.nodes && e.nodes.t;
		if (a !== null) for (let e of a) (e.is_global || t) && e.in();
	}
}
function kn(e, t) {
	if (e.nodes) for (var n = e.nodes.start, r = e.nodes.end; n !== null;) {
		var i = n === r ? null : /* @__PURE__ */ Qt(n);
		t.append(n), n = i;
	}
}
// node_modules/svelte/src/internal/client/legacy.js
var An = null, jn = !1;
function Mn(e) {
	jn = e;
}
var H = null, Nn = !1;
function U(e) {
	H = e;
}
var W = null;
function Pn(e) {
	W = e;
}
var Fn = null;
function In(e) {
	H !== null && (H.f & 2097152 || H.f & 2) && (Fn ??= /* @__PURE__ */ new Set()).add(e);
}
var G = null, K = 0, q = null;
function Ln(e) {
	q = e;
}
var Rn = 1, zn = 0, Bn = zn;
function Vn(e) {
	Bn = e;
}
function Hn() {
	return ++Rn;
}
function Un(e) {
	var t = e.f;
	if (t & 2048) return !0;
	if (t & 4096) {
		for (var n = e.deps, r = n.length, i = 0; i < r; i++) {
			var a = n[i];
			if (Un(a) && mt(a), a.wv > e.wv) return !0;
		}
		t & 512 && M === null && k(e, g);
	}
	return !1;
}
function Wn(e, t, n = !0) {
	var r = e.reactions;
	if (r !== null && !(Fn !== null && Fn.has(e))) for (var i = 0; i < r.length; i++) {
		var a = r[i];
		a.f & 2 ? Wn(a, t, !1) : t === a && (n ? k(a, _) : a.f & 1024 && k(a, v), jt(a));
	}
}
function Gn(e) {
	var t = G, n = K, r = q, i = H, a = Fn, o = O, s = Nn, c = Bn, l = e.f;
	G = null, K = 0, q = null, H = l & 96 ? null : e, Fn = null, He(e.ctx), Nn = !1, Bn = ++zn, e.ac !== null && (nt(() => {
		e.ac.abort(ge);
	}), e.ac = null);
	try {
		e.f |= ie;
		var u = e.fn, d = u();
		e.f |= x;
		var f = Kn(e);
		if (Ke() && q !== null && !Nn && f !== null && !(e.f & 6146)) for (var p = 0; p < q.length; p++) Wn(q[p], e);
		if (i !== null && i !== e) {
			if (zn++, i.deps !== null) for (let e = 0; e < n; e += 1) i.deps[e].rv = zn;
			if (t !== null) for (let e of t) e.rv = zn;
			q !== null && (r === null ? r = q : r.push(...q));
		}
		return e.f & 8388608 && (e.f ^= oe), d;
	} catch (t) {
		return Kn(e), an(t);
	} finally {
		e.f ^= ie, G = t, K = n, q = r, H = i, Fn = a, He(o), Nn = s, Bn = c;
	}
}
function Kn(e) {
	var t = e.deps, n = j?.is_fork;
	if (G !== null) {
		var r;
		if (n || Jn(e, K), t !== null && K > 0) for (t.length = K + G.length, r = 0; r < G.length; r++) t[K + r] = G[r];
		else e.deps = t = G;
		if (un() && e.f & 512) for (r = K; r < t.length; r++) (t[r].reactions ??= []).push(e);
	} else !n && t !== null && K < t.length && (Jn(e, K), t.length = K);
	return t;
}
function qn(e, r) {
	let i = r.reactions;
	if (i !== null) {
		var a = t.call(i, e);
		if (a !== -1) {
			var o = i.length - 1;
			o === 0 ? i = r.reactions = null : (i[a] = i[o], i.pop());
		}
	}
	if (i === null && r.f & 2 && (G === null || !n.call(G, r))) {
		var s = r;
		s.f & 512 && (s.f ^= 512), s.v !== C && Qe(s), s.ac !== null && nt(() => {
			s.ac.abort(ge), s.ac = null, k(s, _);
		}), ht(s), Jn(s, 0);
	}
}
function Jn(e, t) {
	var n = e.deps;
	if (n !== null) for (var r = t; r < n.length; r++) qn(e, n[r]);
}
function Yn(e) {
	var t = e.f;
	if (!(t & 16384)) {
		k(e, g);
		var n = W;
		W = e;
		try {
			t & 16777232 ? Sn(e) : xn(e), bn(e);
			var r = Gn(e);
			e.teardown = typeof r == "function" ? r : null, e.wv = Rn;
		} finally {
			W = n;
		}
	}
}
async function Xn() {
	await Promise.resolve(), Dt();
}
function J(e) {
	var t = !!(e.f & 2);
	if (An?.add(e), H !== null && !Nn && !(W !== null && W.f & 16384) && (Fn === null || !Fn.has(e))) {
		var r = H.deps;
		if (H.f & 2097152) e.rv < zn && (e.rv = zn, G === null && r !== null && r[K] === e ? K++ : G === null ? G = [e] : G.push(e));
		else {
			H.deps ??= [], n.call(H.deps, e) || H.deps.push(e);
			var i = e.reactions;
			i === null ? e.reactions = [H] : n.call(i, H) || i.push(H);
		}
	}
	if (jn && Ft.has(e)) return Ft.get(e);
	if (t) {
		var a = e;
		if (jn) {
			var o = a.v;
			return (!(a.f & 1024) && a.reactions !== null || Qn(a)) && (o = pt(a)), Ft.set(a, o), o;
		}
		var s = !(a.f & 512) && !Nn && H !== null && !!(H.f & 512), c = (a.f & x) === 0;
		Un(a) && (s && (a.f |= 512), mt(a)), s && !c && (gt(a), Zn(a));
	}
	if (M?.has(e)) return M.get(e);
	if (e.f & 8388608) throw e.v;
	return e.v;
}
function Zn(e) {
	if (e.f |= 512, e.deps !== null) for (let r of e.deps) {
		var t = r.reactions;
		t === null ? r.reactions = [e] : n.call(t, e) || t.push(e), r.f & 2 && !(r.f & 512) && (gt(r), Zn(r));
	}
}
function Qn(e) {
	if (e.v === C) return !0;
	if (e.deps === null) return !1;
	for (let t of e.deps) if (Ft.has(t) || t.f & 2 && Qn(t)) return !0;
	return !1;
}
function $n(e) {
	var t = Nn;
	try {
		return Nn = !0, e();
	} finally {
		Nn = t;
	}
}
[.../* @__PURE__ */ "allowfullscreen.async.autofocus.autoplay.checked.controls.default.disabled.formnovalidate.indeterminate.inert.ismap.loop.multiple.muted.nomodule.novalidate.open.playsinline.readonly.required.reversed.seamless.selected.webkitdirectory.defer.disablepictureinpicture.disableremoteplayback".split(".")];
var er = ["touchstart", "touchmove"];
function tr(e) {
	return er.includes(e);
}
// node_modules/svelte/src/internal/client/dom/elements/events.js
var nr = Symbol("events"), rr = /* @__PURE__ */ new Set(), ir = /* @__PURE__ */ new Set();
function ar(e, t, n) {
	(t[nr] ??= {})[e] = n;
}
function or(e) {
	for (var t = 0; t < e.length; t++) rr.add(e[t]);
	for (var n of ir) n(e);
}
var sr = null, cr = !1;
function lr(e) {
	var t = this, n = t.ownerDocument, r = e.type, a = e.composedPath?.() || [], o = a[0] || e.target;
	sr = e, cr || (cr = !0, setTimeout(() => {
		cr = !1, sr = null;
	}));
	var s = 0, c = sr === e && e[nr];
	if (c) {
		var l = a.indexOf(c);
		if (l !== -1 && (t === document || t === window)) {
			e[nr] = t;
			return;
		}
		var u = a.indexOf(t);
		if (u === -1) return;
		l <= u && (s = l);
	}
	if (o = a[s] || e.target, o !== t) {
		i(e, "currentTarget", {
			configurable: !0,
			get() {
				return o || n;
			}
		});
		var d = H, f = W;
		U(null), Pn(null);
		try {
			for (var p, m = []; o !== null && o !== t;) {
				try {
					var h = o[nr]?.[r];
					h == null || o.disabled && e.target !== o || h.call(o, e);
				} catch (e) {
					p ? m.push(e) : p = e;
				}
				if (e.cancelBubble) break;
				s++, o = s < a.length ? a[s] : null;
			}
			if (p) {
				for (let e of m) queueMicrotask(() => {
					throw e;
				});
				throw p;
			}
		} finally {
			e[nr] = t, delete e.currentTarget, U(d), Pn(f);
		}
	}
}
// node_modules/svelte/src/internal/client/dom/reconciler.js
var ur = globalThis?.window?.trustedTypes && /* @__PURE__ */ globalThis.window.trustedTypes.createPolicy("svelte-trusted-html", { createHTML: (e) => e });
function dr(e) {
	return ur?.createHTML(e) ?? e;
}
function fr(e) {
	var t = nn("template");
	return t.innerHTML = dr(e.replaceAll("<!>", "<!---->")), t.content;
}
// node_modules/svelte/src/internal/client/dom/template.js
function pr(e, t) {
	var n = W;
	n.nodes === null && (n.nodes = {
		start: e,
		end: t,
		a: null,
		t: null
	});
}
/*#__NO_SIDE_EFFECTS__*/
function Y(e, t) {
	var n = !!(t & 1), r = !!(t & 2), i, a = !e.startsWith("<!>");
	return () => {
		if (w) return pr(T, null), T;
		i === void 0 && (i = fr(a ? e : "<!>" + e), n || (i = /* @__PURE__ */ Zt(i)));
		var t = r || qt ? document.importNode(i, !0) : i.cloneNode(!0);
		if (n) {
			var o = /* @__PURE__ */ Zt(t), s = t.lastChild;
			pr(o, s);
		} else pr(t, t);
		return t;
	};
}
function mr() {
	if (w) return pr(T, null), T;
	var e = document.createDocumentFragment(), t = document.createComment(""), n = F();
	return e.append(t, n), pr(t, n), e;
}
function X(e, t) {
	if (w) {
		var n = W;
		n.f & 32768 && n.nodes.end !== null || (n.nodes.end = T), we();
	} else e !== null && e.before(t);
}
// node_modules/svelte/src/reactivity/create-subscriber.js
function hr(e) {
	let t = 0, n = Lt(0), r;
	return () => {
		un() && (J(n), _n(() => (t === 0 && (r = $n(() => e(() => Ut(n)))), t += 1, () => {
			Ye(() => {
				--t, t === 0 && (r?.(), r = void 0, Ut(n));
			});
		})));
	};
}
// node_modules/svelte/src/internal/client/dom/blocks/boundary.js
var gr = ee | te;
function _r(e, t, n, r) {
	new vr(e, t, n, r);
}
var vr = class {
	parent;
	is_pending = !1;
	transform_error;
	#e;
	#t = w ? T : null;
	#n;
	#r;
	#i;
	#a = null;
	#o = null;
	#s = null;
	#c = null;
	#l = 0;
	#u = 0;
	#d = !1;
	#f = /* @__PURE__ */ new Map();
	#p = null;
	#m = hr(() => (this.#p = Lt(this.#l), () => {
		this.#p = null;
	}));
	constructor(e, t, n, r) {
		this.#e = e, this.#n = t, this.#r = (e) => {
			var t = W;
			t.b = this, t.f |= 128, n(e);
		}, this.parent = W.b, this.transform_error = r ?? this.parent?.transform_error ?? ((e) => e), this.#i = vn(() => {
			if (w) {
				let e = De(this.#t);
				we();
				let t = e === "[!";
				if (e.startsWith("[?")) {
					let t = JSON.parse(e.slice(2));
					this.#g(t);
				} else t ? this.#y() : this.#h();
			} else this.#b();
		}, gr), w && (this.#e = T);
	}
	#h() {
		try {
			this.#a = B(() => this.#r(this.#e));
		} catch (e) {
			this.error(e);
		}
	}
	#g(e) {
		let t = this.#n.failed, { reset: n, invoke_onerror: r } = this.#_(e);
		Ye(r), t && (this.#s = B(() => {
			t(this.#e, () => e, () => n);
		}));
	}
	#_(e) {
		var t = !1, n = !1;
		let r = () => {
			this.#v() || (t ? Se() : (t = !0, n && Ve(), this.#s !== null && Tn(this.#s, () => {
				this.#s = null;
			}), this.#S(() => {
				this.#b();
			})));
		};
		return {
			reset: r,
			invoke_onerror: () => {
				if (!this.#v()) try {
					n = !0, this.#n.onerror?.(e, r), n = !1;
				} catch (e) {
					on(e, this.#i && this.#i.parent);
				}
			}
		};
	}
	#v() {
		return (this.#i.f & (b | S)) !== 0;
	}
	#y() {
		let e = this.#n.pending;
		e && (this.is_pending = !0, this.#o = B(() => e(this.#e)), Ye(() => {
			if (!this.#v()) {
				var e = this.#c = document.createDocumentFragment(), t = F(), n = !1;
				e.append(t), this.#a = this.#S(() => {
					try {
						return B(() => this.#r(t));
					} catch (e) {
						try {
							this.error(e), n = !0;
						} catch (e) {
							on(e, this.#i.parent);
						}
						return null;
					}
				}), this.#a === null ? (this.#c = null, n && this.#x(j)) : this.#u === 0 && (this.#e.before(e), this.#c = null, Tn(this.#o, () => {
					this.#o = null;
				}), this.#x(j));
			}
		}));
	}
	#b() {
		try {
			if (this.is_pending = this.has_pending_snippet(), this.#u = 0, this.#l = 0, this.#a = B(() => {
				this.#r(this.#e);
			}), this.#u > 0) {
				var e = this.#c = document.createDocumentFragment();
				kn(this.#a, e);
				let t = this.#n.pending;
				this.#o = B(() => t(this.#e));
			} else this.#x(j);
		} catch (e) {
			this.error(e);
		}
	}
	#x(e) {
		this.is_pending = !1, e.transfer_reactions(this.#f);
	}
	defer_effect(e) {
		$e(e, this.#f);
	}
	is_rendered() {
		return !this.is_pending && (!this.parent || this.parent.is_rendered());
	}
	has_pending_snippet() {
		return !!this.#n.pending;
	}
	#S(e) {
		var t = W, n = H, r = O;
		Pn(this.#i), U(this.#i), He(this.#i.ctx);
		try {
			return Et.ensure(), e();
		} finally {
			Pn(t), U(n), He(r);
		}
	}
	#C(e, t) {
		this.has_pending_snippet() ? (this.#u += e, this.#u === 0 && (this.#x(t), this.#o && Tn(this.#o, () => {
			this.#o = null;
		}), this.#c &&= (this.#e.before(this.#c), null))) : this.parent && this.parent.#C(e, t);
	}
	update_pending_count(e, t) {
		this.#C(e, t), this.#l += e, !this.#p || this.#d || (this.#d = !0, Ye(() => {
			this.#d = !1, this.#p && Vt(this.#p, this.#l);
		}));
	}
	get_effect_pending() {
		return this.#m(), J(this.#p);
	}
	error(e) {
		if (e === ve || !this.#n.onerror && !this.#n.failed) throw e;
		j?.is_fork ? (this.#a && j.skip_effect(this.#a), this.#o && j.skip_effect(this.#o), this.#s && j.skip_effect(this.#s), j.oncommit(() => {
			this.#v() || this.#w(e);
		})) : this.#w(e);
	}
	#w(e) {
		this.#a &&= (V(this.#a), null), this.#o &&= (V(this.#o), null), this.#s &&= (V(this.#s), null), w && (E(this.#t), Te(), E(Ee()));
		let t = this.#n.failed, n = (e) => {
			if (this.#v()) return;
			let { reset: n, invoke_onerror: r } = this.#_(e);
			r(), t && !this.#v() && (this.#s = this.#S(() => {
				try {
					return B(() => {
						var r = W;
						r.b = this, r.f |= 128, t(this.#e, () => e, () => n);
					});
				} catch (e) {
					return on(e, this.#i.parent), null;
				}
			}));
		};
		Ye(() => {
			if (!this.#v()) {
				var t;
				try {
					t = this.transform_error(e);
				} catch (e) {
					on(e, this.#i && this.#i.parent);
					return;
				}
				typeof t == "object" && t && typeof t.then == "function" ? t.then(n, (e) => on(e, this.#i && this.#i.parent)) : n(t);
			}
		});
	}
};
function Z(e, t) {
	var n = t == null ? "" : typeof t == "object" ? `${t}` : t;
	n !== (e[me] ??= e.nodeValue) && (e[me] = n, e.nodeValue = `${n}`);
}
function yr(e, t) {
	return xr(e, t);
}
var br = /* @__PURE__ */ new Map();
function xr(e, { target: t, anchor: n, props: i = {}, events: a, context: o, intro: s = !0, transformError: c }) {
	Xt();
	var l = void 0, u = mn(() => {
		var s = n ?? t.appendChild(F());
		_r(s, { pending: () => {} }, (t) => {
			Ue({});
			var n = O;
			if (o && (n.c = o), a && (i.$$events = a), w && pr(t, null), l = e(t, i) || Ge(), w && (W.nodes.end = T, T === null || T.nodeType !== 8 || T.data !== "]")) throw xe(), ve;
			We();
		}, c);
		var u = /* @__PURE__ */ new Set(), d = (e) => {
			for (var n = 0; n < e.length; n++) {
				var r = e[n];
				if (!u.has(r)) {
					u.add(r);
					var i = tr(r);
					for (let e of [t, document]) {
						var a = br.get(e);
						a === void 0 && (a = /* @__PURE__ */ new Map(), br.set(e, a));
						var o = a.get(r);
						o === void 0 ? (e.addEventListener(r, lr, { passive: i }), a.set(r, 1)) : a.set(r, o + 1);
					}
				}
			}
		};
		return d(r(rr)), ir.add(d), () => {
			for (var e of u) for (let n of [t, document]) {
				var r = br.get(n), i = r.get(e);
				--i == 0 ? (n.removeEventListener(e, lr), r.delete(e), r.size === 0 && br.delete(n)) : r.set(e, i);
			}
			ir.delete(d), s !== n && s.parentNode?.removeChild(s);
		};
	});
	return Sr.set(l, u), l;
}
var Sr = /* @__PURE__ */ new WeakMap();
function Cr(e, t) {
	let n = Sr.get(e);
	return n ? (Sr.delete(e), n(t)) : Promise.resolve();
}
// node_modules/svelte/src/internal/client/dom/blocks/branches.js
var wr = class {
	anchor;
	#e = /* @__PURE__ */ new Map();
	#t = /* @__PURE__ */ new Map();
	#n = /* @__PURE__ */ new Map();
	#r = /* @__PURE__ */ new Set();
	#i = !0;
	constructor(e, t = !0) {
		this.anchor = e, this.#i = t;
	}
	#a = (e) => {
		if (this.#e.has(e)) {
			var t = this.#e.get(e), n = this.#t.get(t);
			if (n) Dn(n), this.#r.delete(t);
			else {
				var r = this.#n.get(t);
				r && (Dn(r.effect), this.#t.set(t, r.effect), this.#n.delete(t), r.fragment.lastChild.remove(), this.anchor.before(r.fragment), n = r.effect);
			}
			for (let [t, n] of this.#e) {
				if (this.#e.delete(t), t === e) break;
				let r = this.#n.get(n);
				r && (V(r.effect), this.#n.delete(n));
			}
			for (let [e, r] of this.#t) {
				if (e === t || this.#r.has(e)) continue;
				let i = () => {
					if (Array.from(this.#e.values()).includes(e)) {
						var t = document.createDocumentFragment();
						kn(r, t), t.append(F()), this.#n.set(e, {
							effect: r,
							fragment: t
						});
					} else V(r);
					this.#r.delete(e), this.#t.delete(e);
				};
				this.#i || !n ? (this.#r.add(e), Tn(r, i, !1)) : i();
			}
		}
	};
	#o = (e) => {
		this.#e.delete(e);
		let t = Array.from(this.#e.values());
		for (let [e, n] of this.#n) t.includes(e) || (V(n.effect), this.#n.delete(e));
	};
	ensure(e, t) {
		var n = j, r = tn();
		if (t && !this.#t.has(e) && !this.#n.has(e)) {
			if (r) {
				var i = document.createDocumentFragment(), a = F();
				i.append(a), this.#n.set(e, {
					effect: B(() => t(a)),
					fragment: i
				});
			} else this.#t.set(e, B(() => t(this.anchor)));
		}
		if (this.#e.set(n, e), r) {
			for (let [t, r] of this.#t) t === e ? n.unskip_effect(r) : n.skip_effect(r);
			for (let [t, r] of this.#n) t === e ? n.unskip_effect(r.effect) : n.skip_effect(r.effect);
			n.oncommit(this.#a), n.ondiscard(this.#o);
		} else w && (this.anchor = T), this.#a(n);
	}
};
// node_modules/svelte/src/internal/client/dom/blocks/if.js
function Tr(e, t, n = !1) {
	var r;
	w && (r = T, we());
	var i = new wr(e), a = n ? ee : 0;
	function o(e, t) {
		if (w) {
			var n = De(r);
			if (e !== parseInt(n.substring(1))) {
				var a = Ee();
				E(a), i.anchor = a, Ce(!1), i.ensure(e, t), Ce(!0);
				return;
			}
		}
		i.ensure(e, t);
	}
	vn(() => {
		var e = !1;
		t((t, n = 0) => {
			e = !0, o(n, t);
		}), e || o(-1, null);
	}, a);
}
// node_modules/svelte/src/internal/client/dom/blocks/each.js
function Er(e, t) {
	return t;
}
function Dr(e, t, n) {
	for (var i = [], a = t.length, o, s = t.length, c = 0; c < a; c++) {
		let n = t[c];
		Tn(n, () => {
			if (o) {
				if (o.pending.delete(n), o.done.add(n), o.pending.size === 0) {
					var t = e.outrogroups;
					Or(e, r(o.done)), t.delete(o), t.size === 0 && (e.outrogroups = null);
				}
			} else --s;
		}, !1);
	}
	if (s === 0) {
		var l = i.length === 0 && n !== null && e.pending.size === 0;
		if (l) {
			var u = n, d = u.parentNode;
			en(d), d.append(u), e.items.clear();
		}
		Or(e, t, !l);
	} else o = {
		pending: new Set(t),
		done: /* @__PURE__ */ new Set()
	}, (e.outrogroups ??= /* @__PURE__ */ new Set()).add(o);
}
function Or(e, t, n = !0) {
	var r;
	if (e.pending.size > 0) {
		r = /* @__PURE__ */ new Set();
		for (let t of e.pending.values()) for (let n of t) r.add(e.items.get(n).e);
	}
	for (var i = 0; i < t.length; i++) {
		var a = t[i];
		r?.has(a) ? (a.f |= re, kn(a, document.createDocumentFragment())) : V(t[i], n);
	}
}
var kr;
function Ar(t, n, i, a, o, s = null) {
	var c = t, l = /* @__PURE__ */ new Map();
	if (n & 4) {
		var u = t;
		c = w ? E(/* @__PURE__ */ Zt(u)) : u.appendChild(F());
	}
	w && we();
	var d = null, f = /* @__PURE__ */ dt(() => {
		var t = i();
		return e(t) ? t : t == null ? [] : r(t);
	}), p = /* @__PURE__ */ new Map(), m = !0;
	function h(e) {
		if (!(_.effect.f & 16384)) {
			_.pending.delete(e);
			var t = J(f);
			_.fallback = d, Mr(_, t, c, n, a), d !== null && (t.length === 0 ? d.f & 33554432 ? (d.f ^= re, Pr(d, null, c)) : Dn(d) : Tn(d, () => {
				d = null;
			}));
		}
	}
	function g(e) {
		_.pending.delete(e);
	}
	var _ = {
		effect: vn(() => {
			var e = J(f), t = e.length;
			let r = !1;
			w && De(c) === "[!" != (t === 0) && (c = Ee(), E(c), Ce(!1), r = !0);
			for (var u = /* @__PURE__ */ new Set(), _ = j, v = tn(), y = 0; y < t; y += 1) {
				w && T.nodeType === 8 && T.data === "]" && (c = T, r = !0, Ce(!1));
				var b = e[y], x = a(b, y), S = m ? null : l.get(x);
				S ? (S.v && Vt(S.v, b), S.i && Vt(S.i, y), v && _.unskip_effect(S.e)) : (S = Nr(l, m ? c : kr ??= F(), b, x, y, o, n, i), m || (S.e.f |= re), l.set(x, S)), u.add(x);
			}
			if (t === 0 && s && !d && (m ? d = B(() => s(c)) : (d = B(() => s(kr ??= F())), d.f |= re)), t > u.size && Me("", "", ""), w && t > 0 && E(Ee()), !m) {
				if (p.set(_, u), v) {
					for (let [e, t] of l) u.has(e) || _.skip_effect(t.e);
					_.oncommit(h), _.ondiscard(g);
				} else h(_);
			}
			r && Ce(!0), J(f);
		}),
		flags: n,
		items: l,
		pending: p,
		outrogroups: null,
		fallback: d
	};
	m = !1, w && (c = T);
}
function jr(e) {
	for (; e !== null && !(e.f & 32);) e = e.next;
	return e;
}
function Mr(e, t, n, i, a) {
	var o = !!(i & 8), s = t.length, c = e.items, l = jr(e.effect.first), u, d = null, f, p = [], m = [], h, g, _, v;
	if (o) for (v = 0; v < s; v += 1) h = t[v], g = a(h, v), _ = c.get(g).e, _.f & 33554432 || (_.nodes?.a?.measure(), (f ??= /* @__PURE__ */ new Set()).add(_));
	for (v = 0; v < s; v += 1) {
		if (h = t[v], g = a(h, v), _ = c.get(g).e, e.outrogroups !== null) for (let t of e.outrogroups) t.pending.delete(_), t.done.delete(_);
		if (_.f & 8192 && (Dn(_), o && (_.nodes?.a?.unfix(), (f ??= /* @__PURE__ */ new Set()).delete(_))), _.f & 33554432) {
			if (_.f ^= re, _ === l) Pr(_, null, n);
			else {
				var y = d ? d.next : l;
				_ === e.effect.last && (e.effect.last = _.prev), _.prev && (_.prev.next = _.next), _.next && (_.next.prev = _.prev), Fr(e, d, _), Fr(e, _, y), Pr(_, y, n), d = _, p = [], m = [], l = jr(d.next);
				continue;
			}
		}
		if (_ !== l) {
			if (u !== void 0 && u.has(_)) {
				if (p.length < m.length) {
					var b = m[0], x;
					d = b.prev;
					var S = p[0], ee = p[p.length - 1];
					for (x = 0; x < p.length; x += 1) Pr(p[x], b, n);
					for (x = 0; x < m.length; x += 1) u.delete(m[x]);
					Fr(e, S.prev, ee.next), Fr(e, d, S), Fr(e, ee, b), l = b, d = ee, --v, p = [], m = [];
				} else u.delete(_), Pr(_, l, n), Fr(e, _.prev, _.next), Fr(e, _, d === null ? e.effect.first : d.next), Fr(e, d, _), d = _;
				continue;
			}
			for (p = [], m = []; l !== null && l !== _;) (u ??= /* @__PURE__ */ new Set()).add(l), m.push(l), l = jr(l.next);
			if (l === null) continue;
		}
		_.f & 33554432 || p.push(_), d = _, l = jr(_.next);
	}
	if (e.outrogroups !== null) {
		for (let t of e.outrogroups) t.pending.size === 0 && (Or(e, r(t.done)), e.outrogroups?.delete(t));
		e.outrogroups.size === 0 && (e.outrogroups = null);
	}
	if (l !== null || u !== void 0) {
		var te = [];
		if (u !== void 0) for (_ of u) _.f & 8192 || te.push(_);
		for (; l !== null;) !(l.f & 8192) && l !== e.fallback && te.push(l), l = jr(l.next);
		var ne = te.length;
		if (ne > 0) {
			var ie = i & 4 && s === 0 ? n : null;
			if (o) {
				for (v = 0; v < ne; v += 1) te[v].nodes?.a?.measure();
				for (v = 0; v < ne; v += 1) te[v].nodes?.a?.fix();
			}
			Dr(e, te, ie);
		}
	}
	o && Ye(() => {
		if (f !== void 0) for (_ of f) _.nodes?.a?.apply();
	});
}
function Nr(e, t, n, r, i, a, o, s) {
	var c = o & 1 ? o & 16 ? Lt(n) : /* @__PURE__ */ Rt(n, !1, !1) : null, l = o & 2 ? Lt(i) : null;
	return {
		v: c,
		i: l,
		e: B(() => (a(t, c ?? n, l ?? i, s), () => {
			e.delete(r);
		}))
	};
}
function Pr(e, t, n) {
	if (e.nodes) for (var r = e.nodes.start, i = e.nodes.end, a = t && !(t.f & 33554432) ? t.nodes.start : n; r !== null;) {
		var o = /* @__PURE__ */ Qt(r);
		if (a.before(r), r === i) return;
		r = o;
	}
}
function Fr(e, t, n) {
	t === null ? e.effect.first = n : t.next = n, n === null ? e.effect.last = t : n.prev = t;
}
// node_modules/svelte/src/internal/client/dom/elements/attachments.js
function Ir(e, t) {
	var n = void 0, r;
	yn(() => {
		n !== (n = t()) && (r &&= (V(r), null), n && (r = B(() => {
			hn(() => n(e));
		})));
	});
}
// node_modules/svelte/src/internal/shared/attributes.js
var Lr = [..." 	\n\r\f\xA0\v﻿"];
function Rr(e, t, n) {
	var r = e == null ? "" : "" + e;
	if (t && (r = r ? r + " " + t : t), n) {
		for (var i of Object.keys(n)) if (n[i]) r = r ? r + " " + i : i;
		else if (r.length) for (var a = i.length, o = 0; (o = r.indexOf(i, o)) >= 0;) {
			var s = o + a;
			(o === 0 || Lr.includes(r[o - 1])) && (s === r.length || Lr.includes(r[s])) ? r = (o === 0 ? "" : r.substring(0, o)) + r.substring(s + 1) : o = s;
		}
	}
	return r === "" ? null : r;
}
function zr(e, t = !1) {
	var n = t ? " !important;" : ";", r = "";
	for (var i of Object.keys(e)) {
		var a = e[i];
		a != null && a !== "" && (r += " " + i + ": " + a + n);
	}
	return r;
}
function Br(e) {
	return e[0] !== "-" || e[1] !== "-" ? e.toLowerCase() : e;
}
function Vr(e, t) {
	if (t) {
		var n = "", r, i;
		if (Array.isArray(t) ? (r = t[0], i = t[1]) : r = t, e) {
			e = String(e).replaceAll(/\/\*.*?\*\//g, "").trim();
			var a = !1, o = 0, s = !1, c = [];
			r && c.push(...Object.keys(r).map(Br)), i && c.push(...Object.keys(i).map(Br));
			var l = 0, u = -1;
			let t = e.length;
			for (var d = 0; d < t; d++) {
				var f = e[d];
				if (s ? f === "/" && e[d - 1] === "*" && (s = !1) : a ? a === f && (a = !1) : f === "/" && e[d + 1] === "*" ? s = !0 : f === "\"" || f === "'" ? a = f : f === "(" ? o++ : f === ")" && o--, !s && a === !1 && o === 0) {
					if (f === ":" && u === -1) u = d;
					else if (f === ";" || d === t - 1) {
						if (u !== -1) {
							var p = Br(e.substring(l, u).trim());
							if (!c.includes(p)) {
								f !== ";" && d++;
								var m = e.substring(l, d).trim();
								n += " " + m + ";";
							}
						}
						l = d + 1, u = -1;
					}
				}
			}
		}
		return r && (n += zr(r)), i && (n += zr(i, !0)), n = n.trim(), n === "" ? null : n;
	}
	return e == null ? null : String(e);
}
// node_modules/svelte/src/internal/client/dom/elements/class.js
function Hr(e, t, n, r, i, a) {
	var o = e[fe];
	if (w || o !== n || o === void 0) {
		var s = Rr(n, r, a);
		w && s === e.getAttribute("class") || (s == null ? e.removeAttribute("class") : t ? e.className = s : e.setAttribute("class", s)), e[fe] = n;
	} else if (a && i !== a) for (var c in a) {
		var l = !!a[c];
		(i == null || l !== !!i[c]) && e.classList.toggle(c, l);
	}
	return a;
}
// node_modules/svelte/src/internal/client/dom/elements/style.js
function Ur(e, t = {}, n, r) {
	for (var i in n) {
		var a = n[i];
		t[i] !== a && (n[i] == null ? e.style.removeProperty(i) : e.style.setProperty(i, a, r));
	}
}
function Wr(e, t, n, r) {
	var i = e[pe];
	if (w || i !== t) {
		var a = Vr(t, r);
		w && a === e.getAttribute("style") || (a == null ? e.removeAttribute("style") : e.style.cssText = a), e[pe] = t;
	} else r && (Array.isArray(r) ? (Ur(e, n?.[0], r[0]), Ur(e, n?.[1], r[1], "important")) : Ur(e, n, r));
	return r;
}
// node_modules/svelte/src/internal/client/dom/elements/attributes.js
var Gr = Symbol("is custom element"), Kr = Symbol("is html"), qr = _e ? "link" : "LINK";
function Jr(e) {
	if (w) {
		var t = !1, n = () => {
			if (!t) {
				if (t = !0, e.hasAttribute("value")) {
					var n = e.value;
					Q(e, "value", null), e.value = n;
				}
				if (e.hasAttribute("checked")) {
					var r = e.checked;
					Q(e, "checked", null), e.checked = r;
				}
			}
		};
		e[he] = n, Ye(n), tt();
	}
}
function Q(e, t, n, r) {
	var i = Yr(e);
	if (!(w && (i[t] = e.getAttribute(t), t === "src" || t === "srcset" || t === "href" && e.nodeName === qr))) {
		var a = i[t];
		a !== (i[t] = n) && (t === "loading" && (e[ue] = n), n == null ? e.removeAttribute(t) : typeof n != "string" && Zr(e).has(t) ? e[t] = n : (!w || typeof n != "number" && typeof n != "boolean" || a !== String(n)) && e.setAttribute(t, n));
	}
}
function Yr(e) {
	return e[de] ??= {
		[Gr]: e.nodeName.includes("-"),
		[Kr]: e.namespaceURI === ye
	};
}
var Xr = /* @__PURE__ */ new Map();
function Zr(e) {
	var t = e.getAttribute("is") || e.nodeName, n = Xr.get(t);
	if (n) return n;
	Xr.set(t, n = /* @__PURE__ */ new Set());
	for (var r, i = e, a = Element.prototype; a !== i;) {
		for (var s in r = o(i), r) r[s].set && s !== "innerHTML" && s !== "textContent" && s !== "innerText" && n.add(s);
		i = l(i);
	}
	return n;
}
// node_modules/svelte/src/internal/client/dom/elements/bindings/input.js
function Qr(e, t, n = t) {
	var r = /* @__PURE__ */ new WeakSet();
	rt(e, "input", async (i) => {
		var a = i ? e.defaultValue : e.value;
		if (a = $r(e) ? ei(a) : a, n(a), j !== null && r.add(j), await Xn(), a !== (a = t())) {
			var o = e.selectionStart, s = e.selectionEnd, c = e.value.length;
			if (e.value = a ?? "", s !== null) {
				var l = e.value.length;
				o === s && s === c && l > c ? (e.selectionStart = l, e.selectionEnd = l) : (e.selectionStart = o, e.selectionEnd = Math.min(s, l));
			}
		}
	}), (w && e.defaultValue !== e.value || $n(t) == null && e.value) && (n($r(e) ? ei(e.value) : e.value), j !== null && r.add(j)), _n(() => {
		var n = t();
		if (e === document.activeElement) {
			var i = j;
			if (r.has(i)) return;
		}
		$r(e) && n === ei(e.value) || (e.type !== "date" || n || e.value) && n !== e.value && (e.value = n ?? "");
	});
}
function $r(e) {
	var t = e.type;
	return t === "number" || t === "range";
}
function ei(e) {
	return e === "" ? null : +e;
}
var ti = /* @__PURE__ */ new class e {
	#e = /* @__PURE__ */ new WeakMap();
	#t;
	#n;
	static entries = /* @__PURE__ */ new WeakMap();
	constructor(e) {
		this.#n = e;
	}
	observe(e, t) {
		var n = this.#e.get(e) || /* @__PURE__ */ new Set();
		return n.add(t), this.#e.set(e, n), this.#r().observe(e, this.#n), () => {
			var n = this.#e.get(e);
			n.delete(t), n.size === 0 && (this.#e.delete(e), this.#t.unobserve(e));
		};
	}
	#r() {
		return this.#t ??= new ResizeObserver((t) => {
			for (var n of t) {
				e.entries.set(n.target, n);
				for (var r of this.#e.get(n.target) || []) r(n);
			}
		});
	}
}({ box: "border-box" });
function ni(e, t, n) {
	var r = ti.observe(e, () => n(e[t]));
	hn(() => ($n(() => n(e[t])), r));
}
// node_modules/svelte/src/internal/client/dom/elements/bindings/this.js
function ri(e, t) {
	return e === t || e?.[se] === t;
}
function ii(e = Ge(), t, n, r) {
	var i = O.r, a = W;
	return hn(() => {
		var o, s;
		return _n(() => {
			o = s, s = r?.() || [], $n(() => {
				ri(n(...s), e) || (t(e, ...s), o && ri(n(...o), e) && t(null, ...o));
			});
		}), () => {
			let r = a;
			for (; r !== i && r.parent !== null && r.parent.f & 33554432;) r = r.parent;
			let o = () => {
				s && ri(n(...s), e) && t(null, ...s);
			}, c = r.teardown;
			r.teardown = () => {
				o(), c?.();
			};
		};
	}), e;
}
// node_modules/svelte/src/internal/client/reactivity/store.js
var ai = !1;
function oi(e) {
	var t = ai;
	try {
		return ai = !1, [e(), ai];
	} finally {
		ai = t;
	}
}
// node_modules/svelte/src/internal/client/reactivity/props.js
function $(e, t, n, r) {
	var i = !0, o = !!(n & 8), s = !!(n & 16), c = r, l = !0, u = void 0, d = () => s && i ? (u ??= /* @__PURE__ */ ct(r), J(u)) : (l && (l = !1, c = s ? $n(r) : r), c);
	let f;
	if (o) {
		var p = se in e || le in e;
		f = a(e, t)?.set ?? (p && t in e ? (n) => e[t] = n : void 0);
	}
	var m, h = !1;
	o ? [m, h] = oi(() => e[t]) : m = e[t], m === void 0 && r !== void 0 && (m = d(), f && (i && Le(t), f(m)));
	var g = i ? () => {
		var n = e[t];
		return n === void 0 ? d() : (l = !0, n);
	} : () => {
		var n = e[t];
		return n !== void 0 && (c = void 0), n === void 0 ? c : n;
	};
	if (i && !(n & 4)) return g;
	if (f) {
		var _ = e.$$legacy;
		return (function(e, t) {
			return arguments.length > 0 ? ((!i || !t || _ || h) && f(t ? g() : e), e) : g();
		});
	}
	var v = !1, y = (n & 1 ? ct : dt)(() => (v = !1, g()));
	o && J(y);
	var b = W;
	return (function(e, t) {
		if (arguments.length > 0) {
			let n = t ? J(y) : i && o ? Gt(e) : e;
			return P(y, n), v = !0, c !== void 0 && (c = n), e;
		}
		return jn && v || b.f & 16384 ? y.v : J(y);
	});
}
// node_modules/svelte/src/internal/disclose-version.js
typeof window < "u" && ((window.__svelte ??= {}).v ??= /* @__PURE__ */ new Set()).add("5");
// src/lib/format.ts
function si(e) {
	if (e === void 0) return "";
	if (e === null) return "none";
	if (!Number.isFinite(e)) return Number.isNaN(e) ? "not a number" : e > 0 ? "infinity" : "−infinity";
	let t = Math.abs(e), n = t !== 0 && (t < .001 || t >= 1e5) ? t.toExponential(2) : String(Number(t.toPrecision(3)));
	return (e < 0 ? "−" : "") + n;
}
var ci = (e) => (e > 0 ? "+" : "") + si(e);
function li(e) {
	if (e === void 0) return "";
	if (e === null) return "none";
	let t = 100 * e;
	return `${si(t !== 0 && Math.abs(t) < 9.95 ? Number(t.toFixed(1)) : Math.round(t))}%`;
}
// src/lib/levels.ts
var ui = /* @__PURE__ */ new Set([
	"zero-gradient",
	"non-finite",
	"failed"
]), di = {
	green: "good",
	amber: "doubt",
	red: "bad"
}, fi = (e) => ui.has(e), pi = (e) => e === "ok" ? "good" : fi(e) ? "bad" : "doubt", mi = (e) => di[e ?? ""] ?? "plain", hi = /* @__PURE__ */ Y("<span> </span>"), gi = /* @__PURE__ */ Y("<button type=\"button\" class=\"s-10ohpl7\"> </button>"), _i = /* @__PURE__ */ Y("<div class=\"row gap s-10ohpl7\"><!> <div class=\"choice s-10ohpl7\" role=\"group\"></div></div>");
function vi(e, t) {
	Ue(t, !0);
	let n = $(t, "value", 15), r = $(t, "shown", 3, !1);
	var i = _i(), a = I(i), o = (e) => {
		var n = hi(), r = L(n, !0);
		z(() => Z(r, t.label)), X(e, n);
	};
	Tr(a, (e) => {
		r() && e(o);
	});
	var s = R(a, 2);
	Ar(s, 21, () => t.choices, ([e, t]) => e, (e, r) => {
		var i = /* @__PURE__ */ A(() => m(J(r), 2));
		let a = () => J(i)[0], o = () => J(i)[1];
		var s = gi(), c = L(s, !0);
		z(() => {
			Q(s, "aria-pressed", n() === a()), Q(s, "data-testid", `${t.testid ?? ""}-${a() ?? ""}`), Z(c, o());
		}), ar("click", s, () => n(a())), X(e, s);
	}), D(s), D(i), z(() => {
		Q(s, "aria-label", t.label), Q(s, "data-testid", t.testid);
	}), X(e, i), We();
}
or(["click"]);
// src/ui/Slider.svelte
var yi = /* @__PURE__ */ Y("<label class=\"slider s-1cch663\"><span> </span> <input type=\"range\" class=\"s-1cch663\"/> <output class=\"s-1cch663\"> </output></label>");
function bi(e, t) {
	Ue(t, !0);
	let n = $(t, "value", 15), r = $(t, "min", 3, 0), i = $(t, "max", 3, 1), a = $(t, "step", 3, .01);
	var o = yi(), s = I(o), c = L(s, !0), l = R(s, 2);
	Jr(l);
	var u = L(R(l, 2), !0);
	D(o), z(() => {
		Z(c, t.label), Q(l, "min", r()), Q(l, "max", i()), Q(l, "step", a()), Q(l, "aria-valuetext", t.shown), Q(l, "data-testid", t.testid), Z(u, t.shown);
	}), Qr(l, n), X(e, o), We();
}
// src/lib/viewer/Controls.svelte
var xi = /* @__PURE__ */ Y("<div class=\"row zoom s-1g3c9fs\" role=\"group\" aria-label=\"Zoom\"><button type=\"button\" aria-label=\"Zoom out\" data-testid=\"zoom-out\"><span aria-hidden=\"true\"></span></button> <output aria-label=\"Zoom\" data-testid=\"zoom\" class=\"s-1g3c9fs\"> </output> <button type=\"button\" aria-label=\"Zoom in\" data-testid=\"zoom-in\"><span aria-hidden=\"true\">+</span></button> <button type=\"button\" data-testid=\"zoom-reset\">All</button></div>"), Si = /* @__PURE__ */ Y("<div class=\"controls s-1g3c9fs\" role=\"group\" aria-label=\"Drawing\"><!> <!> <!> <!> <!></div>");
function Ci(e, t) {
	Ue(t, !0);
	let n = $(t, "drawing", 7), r = $(t, "several", 3, !0), i = [
		["overlay", "Overlay"],
		["map", "Map"],
		["photo", "Photo"]
	], a = [["own", "Each"], ["shared", "Shared"]];
	var o = Si(), s = I(o);
	vi(s, {
		label: "Show",
		get choices() {
			return i;
		},
		testid: "mode",
		get value() {
			return n().mode;
		},
		set value(e) {
			n().mode = e;
		}
	});
	var c = R(s, 2), l = (e) => {
		vi(e, {
			label: "Scale",
			get choices() {
				return a;
			},
			testid: "scaling",
			shown: !0,
			get value() {
				return n().scaling;
			},
			set value(e) {
				n().scaling = e;
			}
		});
	};
	Tr(c, (e) => {
		r() && e(l);
	});
	var u = R(c, 2);
	{
		let e = /* @__PURE__ */ A(() => li(n().opacity));
		bi(u, {
			label: "Opacity",
			get shown() {
				return J(e);
			},
			testid: "opacity",
			get value() {
				return n().opacity;
			},
			set value(e) {
				n().opacity = e;
			}
		});
	}
	var d = R(u, 2);
	{
		let e = /* @__PURE__ */ A(() => li(n().threshold));
		bi(d, {
			label: "Threshold",
			get shown() {
				return J(e);
			},
			testid: "threshold",
			get value() {
				return n().threshold;
			},
			set value(e) {
				n().threshold = e;
			}
		});
	}
	var f = R(d, 2), p = (e) => {
		var t = xi(), r = I(t), i = I(r);
		i.textContent = "−", D(r);
		var a = R(r, 2), o = L(a), s = R(a, 2), c = R(s, 2);
		D(t), z((e) => {
			Z(o, `${e ?? ""}×`), c.disabled = n().linked.sight.zoom === 1;
		}, [() => n().linked.sight.zoom.toFixed(1)]), ar("click", r, () => n().linked.zoom(.8)), ar("click", s, () => n().linked.zoom(1.25)), ar("click", c, () => n().linked.reset()), X(e, t);
	};
	Tr(f, (e) => {
		r() && e(p);
	}), D(o), X(e, o), We();
}
or(["click"]);
// src/lib/viewer/geometry.ts
function wi(e) {
	return e ? [
		Math.min(0, e[0]),
		Math.min(0, e[1]),
		Math.max(1, e[2]),
		Math.max(1, e[3])
	] : [
		0,
		0,
		1,
		1
	];
}
function Ti(e, t, n, r) {
	let [i, a] = [(r[2] - r[0]) * t.width, (r[3] - r[1]) * t.height], o = Math.min(e.width / i, e.height / a) * n.zoom, [s, c] = [t.width * o, t.height * o], [l, u] = n.zoom <= 1 ? [(r[0] + r[2]) / 2, (r[1] + r[3]) / 2] : [n.x, n.y];
	return {
		width: s,
		height: c,
		left: e.width / 2 - l * s,
		top: e.height / 2 - u * c
	};
}
var Ei = (e, t, n) => [(t - e.left) / e.width, (n - e.top) / e.height], Di = (e, t, n) => [e.left + t * e.width, e.top + n * e.height];
function Oi(e, t, n, r) {
	let i = Math.min(32, Math.max(1, e.zoom * t)), a = e.zoom / i;
	return i === 1 ? {
		zoom: i,
		x: .5,
		y: .5
	} : ki({
		zoom: i,
		x: n + (e.x - n) * a,
		y: r + (e.y - r) * a
	});
}
function ki(e) {
	let t = (e) => Math.min(1, Math.max(0, e));
	return {
		zoom: e.zoom,
		x: t(e.x),
		y: t(e.y)
	};
}
// src/lib/viewer/linked.svelte.ts
var Ai = class {
	#e = /* @__PURE__ */ N(null);
	get cross() {
		return J(this.#e);
	}
	set cross(e) {
		P(this.#e, e);
	}
	#t = /* @__PURE__ */ N({
		zoom: 1,
		x: .5,
		y: .5
	});
	get sight() {
		return J(this.#t);
	}
	set sight(e) {
		P(this.#t, e);
	}
	point(e, t) {
		this.cross = {
			x: Math.min(1, Math.max(0, e)),
			y: Math.min(1, Math.max(0, t))
		};
	}
	zoom(e, t = this.cross?.x ?? this.sight.x, n = this.cross?.y ?? this.sight.y) {
		this.sight = Oi(this.sight, e, t, n);
	}
	pan(e, t) {
		this.sight.zoom > 1 && (this.sight = ki({
			...this.sight,
			x: this.sight.x + e,
			y: this.sight.y + t
		}));
	}
	reset() {
		this.sight = {
			zoom: 1,
			x: .5,
			y: .5
		};
	}
}, ji = .88, Mi = class {
	#e = /* @__PURE__ */ N(ji);
	get opacity() {
		return J(this.#e);
	}
	set opacity(e) {
		P(this.#e, e, !0);
	}
	#t = /* @__PURE__ */ N(0);
	get threshold() {
		return J(this.#t);
	}
	set threshold(e) {
		P(this.#t, e, !0);
	}
	#n = /* @__PURE__ */ N("own");
	get scaling() {
		return J(this.#n);
	}
	set scaling(e) {
		P(this.#n, e, !0);
	}
	#r = /* @__PURE__ */ N("overlay");
	get mode() {
		return J(this.#r);
	}
	set mode(e) {
		P(this.#r, e, !0);
	}
	linked = new Ai();
};
function Ni(e) {
	let t = /* @__PURE__ */ new Map();
	for (let { map: n, map_unit: r = "" } of e) n && t.set(r, Math.max(t.get(r) ?? 0, n.scale));
	return t;
}
// src/lib/colours.ts
function Pi(e, t) {
	return (t ? e.diverging : e.sequential).table;
}
function Fi(e, t, n, r) {
	let i = t > 0 ? e / t : 0, a = n ? (i + 1) / 2 : i;
	return Math.round(Math.min(1, Math.max(0, a)) * (r - 1));
}
function Ii(e, t, n) {
	return t > 0 ? Math.min(1, Math.max(0, n ? Math.abs(e) : e) / t) : 0;
}
function Li(e, t, n, r, i, a) {
	let o = document.createElement("canvas");
	o.width = e.width, o.height = e.height;
	let s = o.getContext("2d"), c = s.createImageData(e.width, e.height), l = i * r;
	for (let o = 0; o < e.data.length; o++) {
		let s = e.data[o];
		!Number.isFinite(s) || i > 0 && Math.abs(s) < l || (c.data.set(t[Fi(s, r, n, t.length)], 4 * o), c.data[4 * o + 3] = a ? 255 * Ii(s, r, n) : 255);
	}
	return s.putImageData(c, 0, 0), o;
}
// src/lib/viewer/sample.ts
function Ri(e, t, n, r) {
	let i = Math.floor((n - t[0]) / (t[2] - t[0]) * e.width), a = Math.floor((r - t[1]) / (t[3] - t[1]) * e.height);
	return i < 0 || a < 0 || i >= e.width || a >= e.height ? null : e.data[a * e.width + i] ?? null;
}
// src/lib/viewer/Scale.svelte
var zi = /* @__PURE__ */ Y("<div class=\"scale\"><canvas height=\"1\" aria-hidden=\"true\" class=\"s-yg8as9\"></canvas> <div class=\"ends s-yg8as9\"><span> </span><span class=\"unit s-yg8as9\"> </span><span> </span></div></div>");
function Bi(e, t) {
	Ue(t, !0);
	let n = /* @__PURE__ */ N(void 0);
	fn(() => {
		let e = J(n)?.getContext("2d");
		e && t.colours.forEach(([t, n, r], i) => {
			e.fillStyle = `rgb(${t} ${n} ${r})`, e.fillRect(i, 0, 1, 1);
		});
	});
	var r = zi(), i = I(r);
	ii(i, (e) => P(n, e), () => J(n));
	var a = R(i, 2), o = I(a), s = L(o, !0), c = R(o), l = L(c, !0), u = L(R(c), !0);
	D(a), D(r), z((e, n) => {
		Q(i, "width", t.colours.length), Z(s, e), Z(l, t.unit), Z(u, n);
	}, [() => t.signed ? ci(-t.scale) : "0", () => t.signed ? ci(t.scale) : si(t.scale)]), X(e, r), We();
}
// src/lib/viewer/hands.ts
function Vi({ linked: e, frame: t, step: n }) {
	return (r) => {
		let i = /* @__PURE__ */ new Map(), a = 0, o = new AbortController(), s = (e, t) => r.addEventListener(e, t, {
			signal: o.signal,
			passive: !1
		}), c = (e) => {
			let t = r.getBoundingClientRect();
			return {
				x: e.clientX - t.left,
				y: e.clientY - t.top
			};
		};
		s("pointerdown", (n) => {
			i.set(n.pointerId, c(n)), r.setPointerCapture(n.pointerId), a = 0;
			let { x: o, y: s } = c(n);
			e.point(...Ei(t(), o, s));
		}), s("pointermove", (n) => {
			let r = c(n), o = i.get(n.pointerId);
			o && i.set(n.pointerId, r);
			let { width: s, height: l } = t();
			if (i.size === 2) {
				let [n, r] = [...i.values()], o = Math.hypot(n.x - r.x, n.y - r.y), s = Ei(t(), (n.x + r.x) / 2, (n.y + r.y) / 2);
				a && e.zoom(o / a, ...s), a = o;
			} else o && e.sight.zoom > 1 ? e.pan((o.x - r.x) / s, (o.y - r.y) / l) : e.point(...Ei(t(), r.x, r.y));
		});
		let l = (e) => {
			i.delete(e.pointerId), a = 0;
		};
		return s("pointerup", l), s("pointercancel", l), s("pointerleave", (t) => {
			t.pointerType === "mouse" && !i.size && document.activeElement !== r && (e.cross = null);
		}), s("wheel", (n) => {
			if (n.deltaY > 0 && e.sight.zoom <= 1) return;
			n.preventDefault();
			let { x: r, y: i } = c(n);
			e.zoom(Math.exp(-Math.max(-60, Math.min(60, n.deltaY)) / 300), ...Ei(t(), r, i));
		}), s("keydown", (t) => {
			if (t.ctrlKey || t.metaKey || t.altKey) return;
			let [r, i] = n(), a = t.shiftKey ? 10 : 1, o = {
				ArrowLeft: [-r, 0],
				ArrowRight: [r, 0],
				ArrowUp: [0, -i],
				ArrowDown: [0, i]
			}[t.key], s = e.cross ?? {
				x: e.sight.x,
				y: e.sight.y
			};
			if (o) e.point(s.x + a * o[0], s.y + a * o[1]);
			else if (t.key === "+" || t.key === "=") e.zoom(1.25);
			else if (t.key === "-") e.zoom(.8);
			else if (t.key === "0") e.reset();
			else if (t.key === "Escape") e.cross = null;
			else return;
			t.preventDefault();
		}), () => o.abort();
	};
}
// src/lib/viewer/paint.ts
function Hi(e, t, n) {
	let { width: r, height: i } = e.canvas;
	e.setTransform(1, 0, 0, 1, 0, 0), e.clearRect(0, 0, r, i), e.imageSmoothingEnabled = !0, e.imageSmoothingQuality = "high";
	let a = n.mode === "map" && n.map !== null;
	n.photo && !a && (e.filter = n.dull ? "grayscale(1) opacity(0.45)" : n.map ? "saturate(0.7) brightness(0.95)" : "none", e.drawImage(n.photo, t.left, t.top, t.width, t.height), e.filter = "none");
	let o = n.window && Ui(t, n.window);
	o && !a && Wi(e, t, o, n.ground), o && n.map && n.mode !== "photo" && (e.globalAlpha = a ? 1 : n.opacity, e.drawImage(n.map, ...o), e.globalAlpha = 1), n.cross && Gi(e, ...Di(t, n.cross.x, n.cross.y));
}
function Ui(e, t) {
	let [n, r] = Di(e, t[0], t[1]), [i, a] = Di(e, t[2], t[3]);
	return [
		n,
		r,
		i - n,
		a - r
	];
}
function Wi(e, t, n, r) {
	e.save(), e.beginPath(), e.rect(t.left, t.top, t.width, t.height), e.rect(...n), e.clip("evenodd"), e.globalAlpha = .72, e.fillStyle = r, e.fillRect(t.left, t.top, t.width, t.height), e.restore();
}
function Gi(e, t, n) {
	let { width: r, height: i } = e.canvas, a = 6 * devicePixelRatio;
	for (let [o, s] of [["rgb(255 255 255 / 0.8)", 3], ["rgb(0 0 0 / 0.85)", 1]]) {
		e.strokeStyle = o, e.lineWidth = s * devicePixelRatio, e.beginPath();
		for (let [o, s, c, l] of [
			[
				0,
				n,
				t - a,
				n
			],
			[
				t + a,
				n,
				r,
				n
			],
			[
				t,
				0,
				t,
				n - a
			],
			[
				t,
				n + a,
				t,
				i
			]
		]) e.moveTo(o, s), e.lineTo(c, l);
		e.stroke();
	}
}
// src/lib/viewer/Viewer.svelte
var Ki = /* @__PURE__ */ Y("<div class=\"viewer s-r44jje\"><div role=\"application\" tabindex=\"0\" data-testid=\"viewer\"><canvas class=\"s-r44jje\"></canvas></div></div>");
function qi(e, t) {
	Ue(t, !0);
	let n = $(t, "values", 3, null), r = $(t, "signed", 3, !1), i = $(t, "scale", 3, 1), a = $(t, "opacity", 3, ji), o = $(t, "threshold", 3, 0), s = $(t, "mode", 3, "overlay"), c = $(t, "dull", 3, !1), l = /* @__PURE__ */ N(void 0), u = /* @__PURE__ */ N(0), d = /* @__PURE__ */ N(null), f = /* @__PURE__ */ N("#fff");
	fn(() => {
		let e = new Image();
		return e.onload = () => P(d, e), e.src = t.photo, () => e.onload = null;
	}), fn(() => {
		let e = () => void (J(l) && P(f, getComputedStyle(J(l)).getPropertyValue("--raised"), !0));
		e();
		let t = new MutationObserver(e);
		return t.observe(document.documentElement, {
			attributes: !0,
			attributeFilter: ["data-theme"]
		}), () => t.disconnect();
	});
	let p = /* @__PURE__ */ A(() => wi(t.window)), h = /* @__PURE__ */ A(() => J(d) ? {
		width: J(d).naturalWidth,
		height: J(d).naturalHeight
	} : {
		width: 1,
		height: 1
	}), g = /* @__PURE__ */ A(() => Math.min(J(u) * Math.max(.4, Math.min(1.25, (J(p)[3] - J(p)[1]) * J(h).height / ((J(p)[2] - J(p)[0]) * J(h).width))), 640)), _ = /* @__PURE__ */ A(() => n() && s() !== "photo" ? Li(n(), Pi(t.colormaps, r()), r(), i(), o(), s() === "overlay") : null), v = /* @__PURE__ */ A(() => Ti({
		width: J(u),
		height: J(g)
	}, J(h), t.linked.sight, J(p)));
	fn(() => {
		if (!J(l) || !J(u)) return;
		let e = devicePixelRatio, [n, r] = [Math.round(J(u) * e), Math.round(J(g) * e)], i = Ti({
			width: n,
			height: r
		}, J(h), t.linked.sight, J(p)), o = {
			photo: J(d),
			window: t.window,
			map: J(_),
			opacity: a(),
			mode: s(),
			dull: c(),
			cross: t.linked.cross,
			ground: J(f)
		}, v = J(l).getContext("2d"), y = requestAnimationFrame(() => {
			J(l) && v && ((J(l).width !== n || J(l).height !== r) && ((e) => {
				var t = m(e, 2);
				J(l).width = t[0], J(l).height = t[1];
			})([n, r]), Hi(v, i, o));
		});
		return () => cancelAnimationFrame(y);
	});
	let y = () => !n() || !t.window ? [.01, .01] : [(t.window[2] - t.window[0]) / n().width, (t.window[3] - t.window[1]) / n().height];
	var b = Ki(), x = I(b);
	let S, ee;
	ii(I(x), (e) => P(l, e), () => J(l)), D(x), Ir(x, () => Vi({
		linked: t.linked,
		frame: () => J(v),
		step: y
	})), D(b), z(() => {
		S = Hr(x, 1, "hold s-r44jje", null, S, { held: t.linked.sight.zoom > 1 }), Q(x, "aria-label", t.label), ee = Wr(x, "", ee, { height: `${J(g) ?? ""}px` });
	}), ni(b, "clientWidth", (e) => P(u, e)), X(e, b), We();
}
// src/lib/viewer/ResultView.svelte
var Ji = /* @__PURE__ */ Y("<a target=\"_blank\" rel=\"noopener\"><img data-testid=\"figure\" class=\"s-1oq041i\"/></a>"), Yi = /* @__PURE__ */ Y("<div class=\"over s-1oq041i\"><p class=\"s-1oq041i\"><strong class=\"s-1oq041i\"> </strong> </p></div>"), Xi = /* @__PURE__ */ Y("<p class=\"readout s-1oq041i\" data-testid=\"readout\"><span class=\"hidden\">Value:</span> </p> <!>", 1), Zi = /* @__PURE__ */ Y("<div class=\"place s-1oq041i\"><!> <!></div> <!>", 1);
function Qi(e, t) {
	Ue(t, !0);
	let n = /* @__PURE__ */ N(null), r = /* @__PURE__ */ N(""), i = /* @__PURE__ */ A(() => t.scale ?? t.result.map?.scale ?? 1), a = /* @__PURE__ */ A(() => t.result.window ?? [
		0,
		0,
		1,
		1
	]), o = /* @__PURE__ */ A(() => fi(t.result.status.code));
	fn(() => {
		let e = t.result.map;
		if (((e) => {
			var t = m(e, 2);
			P(n, t[0]), P(r, t[1], !0);
		})([null, ""]), !e) return;
		let i = !0;
		return t.load(e).then((e) => i && P(n, e), (e) => i && P(r, e instanceof Error ? e.message : String(e), !0)), () => i = !1;
	});
	let s = /* @__PURE__ */ A(() => {
		if (!t.result.map) return "";
		if (J(r)) return J(r);
		if (!t.linked.cross) return `${si(t.result.map.min)} to ${si(t.result.map.max)}`;
		let e = J(n) && Ri(J(n), J(a), t.linked.cross.x, t.linked.cross.y);
		return e === null ? J(n) ? "outside what the model sees" : "loading" : `${Number.isFinite(e) ? ci(e) : "not a number"} ${t.result.map_unit ?? ""}`;
	});
	var c = mr(), l = $t(c), u = (e) => {
		var n = Ji(), r = L(n);
		z(() => {
			Q(n, "href", t.result.figure), Q(r, "src", t.result.figure), Q(r, "alt", `Sheet of ${t.result.method ?? ""}`);
		}), X(e, n);
	}, d = (e) => {
		var r = Zi(), c = $t(r), l = I(c);
		{
			let e = /* @__PURE__ */ A(() => t.result.map?.signed);
			qi(l, {
				get linked() {
					return t.linked;
				},
				get photo() {
					return t.photo;
				},
				get window() {
					return J(a);
				},
				get values() {
					return J(n);
				},
				get signed() {
					return J(e);
				},
				get scale() {
					return J(i);
				},
				get colormaps() {
					return t.colormaps;
				},
				get opacity() {
					return t.opacity;
				},
				get threshold() {
					return t.threshold;
				},
				get mode() {
					return t.mode;
				},
				get dull() {
					return J(o);
				},
				get label() {
					return `${t.result.method ?? ""}: arrow keys move the crosshair, + and - zoom, 0 shows all`;
				}
			});
		}
		var u = R(l, 2), d = (e) => {
			var n = Yi(), r = I(n), i = I(r), a = L(i, !0), o = R(i, 1, !0);
			D(r), D(n), z(() => {
				Z(a, t.result.status.code), Z(o, t.result.status.cause);
			}), X(e, n);
		};
		Tr(u, (e) => {
			J(o) && e(d);
		}), D(c);
		var f = R(c, 2), p = (e) => {
			var n = Xi(), r = $t(n), a = R(I(r), 1, !0);
			D(r);
			var o = R(r, 2);
			{
				let e = /* @__PURE__ */ A(() => Pi(t.colormaps, t.result.map.signed)), n = /* @__PURE__ */ A(() => t.result.map_unit ?? "");
				Bi(o, {
					get colours() {
						return J(e);
					},
					get scale() {
						return J(i);
					},
					get signed() {
						return t.result.map.signed;
					},
					get unit() {
						return J(n);
					}
				});
			}
			z(() => Z(a, J(s))), X(e, n);
		};
		Tr(f, (e) => {
			t.result.map && e(p);
		}), X(e, r);
	};
	Tr(l, (e) => {
		t.result.figure && !t.result.map ? e(u) : e(d, -1);
	}), X(e, c), We();
}
// src/ui/Badge.svelte
var $i = /* @__PURE__ */ Y("<span><span aria-hidden=\"true\"> </span> </span>");
function ea(e, t) {
	let n = {
		good: "✓",
		doubt: "!",
		bad: "✕",
		plain: "•"
	};
	var r = $i(), i = I(r), a = L(i, !0), o = R(i);
	D(r), z(() => {
		Hr(r, 1, `badge ${t.kind ?? ""}`), Z(a, n[t.kind]), Z(o, ` ${t.words ?? ""}`);
	}), X(e, r);
}
[...crypto.getRandomValues(/* @__PURE__ */ new Uint8Array(16))].map((e) => e.toString(16).padStart(2, "0")).join("");
// src/lib/values.ts
function ta(e, t, n) {
	if (e.byteLength !== 4 * t * n) throw Error(`The map holds ${e.byteLength} bytes, not ${4 * t * n}.`);
	let r = new DataView(e), i = new Float32Array(t * n);
	for (let e = 0; e < i.length; e++) i[e] = r.getFloat32(4 * e, !0);
	return {
		data: i,
		width: t,
		height: n
	};
}
// src/widget/data.ts
async function na(e) {
	if (!e.map || !e.values) throw Error("This result holds no map.");
	return ta(Uint8Array.from(atob(e.values), (e) => e.charCodeAt(0)).buffer, e.map.width, e.map.height);
}
// src/widget/Cell.svelte
var ra = /* @__PURE__ */ Y("<p class=\"note s-q8yto8\"> </p>"), ia = /* @__PURE__ */ Y("<article class=\"panel\" data-testid=\"result\"><strong> </strong> <p class=\"note s-q8yto8\"> </p> <!> <div class=\"row s-q8yto8\"><!> <!></div> <!> <!> <!></article>"), aa = /* @__PURE__ */ Y("<div class=\"cell s-q8yto8\" data-testid=\"widget\"><!> <div class=\"results s-q8yto8\"></div></div>");
function oa(e, t) {
	Ue(t, !0);
	let n = new Mi(), r = /* @__PURE__ */ A(() => Ni(t.data.results));
	var i = aa(), a = I(i);
	Ci(a, { get drawing() {
		return n;
	} });
	var o = R(a, 2);
	Ar(o, 21, () => t.data.results, Er, (e, i) => {
		var a = ia(), o = I(a), s = L(o, !0), c = R(o, 2), l = L(c), u = R(c, 2);
		{
			let e = /* @__PURE__ */ A(() => J(i).photo ?? t.data.photo ?? ""), a = /* @__PURE__ */ A(() => n.scaling === "shared" ? J(r).get(J(i).map_unit) : void 0);
			Qi(u, {
				get result() {
					return J(i);
				},
				get photo() {
					return J(e);
				},
				get linked() {
					return n.linked;
				},
				get colormaps() {
					return t.data.colormaps;
				},
				load: () => na(J(i)),
				get scale() {
					return J(a);
				},
				get opacity() {
					return n.opacity;
				},
				get threshold() {
					return n.threshold;
				},
				get mode() {
					return n.mode;
				}
			});
		}
		var d = R(u, 2), f = I(d), p = (e) => {
			{
				let t = /* @__PURE__ */ A(() => pi(J(i).status.code));
				ea(e, {
					get kind() {
						return J(t);
					},
					get words() {
						return J(i).status.code;
					}
				});
			}
		};
		Tr(f, (e) => {
			J(i).status.code !== "ok" && e(p);
		});
		var m = R(f, 2), h = (e) => {
			{
				let t = /* @__PURE__ */ A(() => mi(J(i).trust.level));
				ea(e, {
					get kind() {
						return J(t);
					},
					get words() {
						return `trust: ${J(i).trust.level ?? ""}`;
					}
				});
			}
		};
		Tr(m, (e) => {
			J(i).trust && e(h);
		}), D(d);
		var g = R(d, 2), _ = (e) => {
			var t = ra(), n = L(t, !0);
			z(() => Z(n, J(i).status.cause)), X(e, t);
		};
		Tr(g, (e) => {
			J(i).status.code !== "ok" && J(i).status.cause && e(_);
		});
		var v = R(g, 2), y = (e) => {
			var t = ra(), n = L(t, !0);
			z(() => Z(n, J(i).trust.sentence)), X(e, t);
		};
		Tr(v, (e) => {
			J(i).trust && e(y);
		}), Ar(R(v, 2), 16, () => J(i).notes, (e) => e, (e, t) => {
			var n = ra(), r = L(n, !0);
			z(() => Z(r, t)), X(e, n);
		}), D(a), z((e) => {
			Q(a, "data-method", J(i).method), Z(s, J(i).method), Z(l, `${J(i).target ?? "" ?? ""}${J(i).contrast ? ` against ${J(i).contrast}` : ""}${e ?? ""}`);
		}, [() => J(i).score === null ? "" : `, ${si(J(i).score)} ${J(i).unit}`]), X(e, a);
	}), D(o), D(i), X(e, i), We();
}
// src/widget/widget.ts
function sa() {
	let e = document.body.dataset.jpThemeLight;
	return e === void 0 ? void 0 : e === "false" ? "dark" : "light";
}
function ca({ model: e, el: t }) {
	let n = document.createElement("div");
	n.className = "seewhy";
	let r = sa();
	r && (n.dataset.theme = r), t.append(n);
	let i = yr(oa, {
		target: n,
		props: { data: e.get("data") }
	});
	return () => {
		Cr(i), n.remove();
	};
}
var la = { render: ca };
export { la as default };
