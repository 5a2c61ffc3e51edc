"""The template of the gate's page (Jinja2), apart so that page.py reads as code. Styles are inline: the page
must open from a mail, a disk or Airflow without asking any server for anything."""

STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#e3e7ec;--good:#0b6e4f;--bad:#b3402a;--wait:#8a6410;--bar:#9db4c0;--ground:#fff}
*{box-sizing:border-box}
body{margin:0;background:#f4f6f8;color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:980px;margin:0 auto;padding:20px 16px 60px}
section{background:var(--ground);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin:14px 0}
h1{font-size:24px;margin:8px 0 2px}h2{font-size:17px;margin:0 0 8px}
h3{font-size:14px;margin:14px 0 4px;color:var(--soft)}
p{margin:6px 0}.soft{color:var(--soft);font-size:13px}
.badge{display:inline-block;padding:2px 10px;border-radius:99px;color:#fff;font-weight:600;font-size:13px}
.promote{background:var(--good)}.reject{background:var(--bad)}.wait{background:var(--wait)}
.row{display:grid;grid-template-columns:minmax(90px,190px) 1fr minmax(70px,190px);gap:10px;
align-items:center;padding:2px 0}
.row .label{overflow-wrap:anywhere}.row .figures{font-variant-numeric:tabular-nums;color:var(--soft);font-size:13px}
.track{position:relative;height:16px;border-bottom:1px solid var(--line)}
.track i{position:absolute;top:6px;height:4px;background:var(--bar);border-radius:2px}
.track b{position:absolute;top:3px;width:10px;height:10px;margin-left:-5px;border-radius:50%;background:#4a6274}
.track u{position:absolute;top:-2px;bottom:-2px;width:0;border-left:1px dashed #9aa5b1}
.strong .track i{background:#6fb79c}.strong .track b{background:var(--good)}.strong .label{font-weight:600}
table{border-collapse:collapse;width:100%;font-size:14px}td,th{text-align:left;padding:4px 8px 4px 0;
border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.yes{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}.open{color:var(--wait);font-weight:600}
.histogram{display:flex;align-items:flex-end;gap:2px;height:120px;border-bottom:1px solid var(--line)}
.histogram div{flex:1;background:var(--bar);border-radius:2px 2px 0 0;min-width:2px}
.axis{display:flex;gap:2px;font-size:10px;color:var(--soft)}.axis span{flex:1;text-align:center;overflow:hidden}
.curve{width:100%;height:150px;background:#fbfcfd;border-bottom:1px solid var(--line)}
.ends{display:flex;justify-content:space-between;font-size:12px;color:var(--soft)}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:18px}.plot{width:100%;max-width:260px}
details summary{cursor:pointer;color:var(--soft)}.scroll{overflow-x:auto}
@media(max-width:600px){.row{grid-template-columns:1fr;gap:0;padding:5px 0}.pair{grid-template-columns:1fr}
section{padding:14px 12px}h1{font-size:21px}.wide{display:none}}
"""

_MACROS = """
{% macro bar(b, tail='') %}
<div class="row{{ ' strong' if b.strong }}"><span class="label">{{ b.label }}</span>
<span class="track">{% if b.zero is not none %}<u style="left:{{ b.zero|round(2) }}%"></u>{% endif %}
<i style="left:{{ b.left|round(2) }}%;width:{{ b.width|round(2) }}%"></i>
<b style="left:{{ b.at|round(2) }}%"></b></span>
<span class="figures">{{ b.value|number }} [{{ b.lower|number }}, {{ b.upper|number }}]{{ tail }}</span></div>
{% endmacro %}
{% macro plot(p, x, y) %}
<svg class="plot" viewBox="-16 -4 124 122" role="img" aria-label="{{ y }} by {{ x }}">
<path d="M0 0V100H100" fill="none" stroke="#9aa5b1" stroke-width=".6"/>
<path d="M0 100L100 0" stroke="#9aa5b1" stroke-width=".6" stroke-dasharray="3 2"/>
{% for cx, cy in p.points %}<circle cx="{{ cx|round(2) }}" cy="{{ cy|round(2) }}" r="2" fill="#4a6274"/>{% endfor %}
<g font-size="6" fill="#5b6675"><text x="50" y="115" text-anchor="middle">{{ x }}</text>
<text x="-9" y="50" text-anchor="middle" transform="rotate(-90 -9 50)">{{ y }}</text>
<text x="0" y="107" text-anchor="middle">{{ p.low|number }}</text>
<text x="106" y="107" text-anchor="end">{{ p.top|number }}</text></g></svg>
{% endmacro %}
{% macro conditions(rows) %}<div class="scroll"><table>
<tr><th></th><th>condition</th><th class="n">found</th><th class="n">needed</th></tr>
{% for c in rows %}<tr><td class="{{ c|state }}">{{ {'yes':'✓','no':'✗','open':'?'}[c|state] }}</td>
<td>{{ meaning.get(c.name.partition(':')[0], '') }}
<span class="soft">{{ c.name }}{% if c.reason|default('') %}: {{ 'not checked, because ' if c.passed is none }}{{
c.reason }}{% endif %}</span></td><td class="n">{{ 'not checked' if c.passed is none else c.value|number }}</td>
<td class="n">{{ {'>=':'≥','<=':'≤'}.get(c.relation, c.relation) }} {{ c.threshold|number }}</td></tr>{% endfor %}
</table></div>{% endmacro %}
"""

_BODY = (
    """
<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title><style>"""
    + STYLE
    + """</style></head><body><main>
<h1>{{ title }}</h1>
<p><b>{{ 'Promoted: ' ~ body.promoted if body.promoted else 'Nothing is promoted: ' ~ body.champion ~ ' stays' }}.</b>
</p>
<p class="soft">{{ '{:,}'.format(body.rows) }} rounds
{% if body.log.units is defined %}of {{ '{:,}'.format(body.log.units) }} units{% endif %}, {{ body.log.from|day }} to
{{ body.log.to|day }} UTC. Champion:
{{ body.champion }}. Judged as served, exploration floor {{ body.floor|number }} included.</p>
{% if unchecked %}<section><h2>Not checked</h2>{% for u in unchecked %}
<p>{{ meaning.get(u.name.partition(':')[0], u.name) }}
<span class="soft">({{ u.name }}{{ ', ' ~ u.of if u.of }})</span>: not checked, because {{ u.reason }}.
{{ 'It counts as not passed.' if u.blocks else 'It does not stand in the way: other conditions cover it.' }}</p>
{% endfor %}</section>{% endif %}
{% if not candidates %}<section><h2>No candidate was judged</h2></section>{% endif %}
{% if candidates %}<section><h2>Lift over {{ body.champion }}, reward per decision</h2>
{% for b in lifts %}{{ bar(b) }}{% endfor %}
<p class="soft">Paired, doubly robust; each end wrong with probability ≤ {{ body.alpha|number }}, however often it is
looked at. The dashed line is no difference.</p></section>{% endif %}
{% for name, p in candidates.items() %}
<section><h2>{{ name }} <span class="badge {{ {'promote':'promote','reject':'reject'}.get(p.verdict, 'wait') }}">
{{ p.verdict }}</span></h2><p>{{ headline[name] }}</p>
{% set alike = p.details.design_effect|default(1) %}{% if alike > 1.1 %}<p class="soft">It suits some units more than
others: of its lift, these rounds say what
{{ '{:,}'.format((body.rows / alike)|int) }} would of units that come once.</p>
{% endif %}{% set failed = p.conditions|rejectattr('passed')|list %}{% if failed %}{{ conditions(failed) }}{% endif %}
<details><summary>{{ p.conditions|length - failed|length }} of {{ p.conditions|length }} conditions hold{%
if p.conditions|selectattr('passed', 'none')|list %}, {{ p.conditions|selectattr('passed', 'none')|list|length }} not
checked{% endif %}</summary>
{{ conditions(p.conditions|selectattr('passed')|list) }}</details>
{% set c = curves[name] %}{% if c %}<h3>The lift as rounds came in</h3>
<svg class="curve" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label="lift by rounds">
<polygon points="{{ c.band }}" fill="#9db4c0" opacity=".45"/>
<path d="M0 {{ c.zero|round(2) }}H100" stroke="#9aa5b1" stroke-dasharray="4 3" vector-effect="non-scaling-stroke"/>
<polyline points="{{ c.line }}" fill="none" stroke="#4a6274" stroke-width="2" vector-effect="non-scaling-stroke"/></svg>
<div class="ends"><span>0 rounds</span><span>from {{ c.low|number }} to {{ c.high|number }}; dashed: no lift</span>
<span>{{ c.rows|number }}</span></div>{% endif %}</section>{% endfor %}
<section><h2>Value by policy and estimator</h2>
{% for name, rows in forest.items() %}{% set role = body.policies[name].role %}<h3>
{{ 'The log itself, as it was decided' if role == 'logging' else name ~ ': ' ~ role }}, effective rounds
{{ body.policies[name].ess|number }}</h3>{% for b in rows %}{{ bar(b) }}{% endfor %}{% endfor %}
<p class="soft">DR decides, with its anytime-valid interval. SNIPS has Cressie–Read's interval, the others
plain 95 % ones; those of DM, Switch-DR, DRos and MIPS ignore bias and are too narrow.</p></section>
{% for name, rows in histogram.items() %}<section><h2>Weights of {{ name }}</h2>
<div class="histogram">{% for w in rows %}<div style="height:{{ w.height|round(1) }}%"
title="up to {{ w.label }}: {{ w.rounds }} rounds, {{ (100*w.share)|round(1) }} % of all weight"></div>{% endfor %}
</div>
<div class="axis">{% for w in rows %}<span>{{ w.label if loop.index0 % 2 == 0 else '' }}</span>{% endfor %}</div>
<p class="soft">Rounds by weight π/p. {{ '{:,}'.format(body.rows) }} rounds count as
{{ body.policies[name].ess|number }}; the heaviest has {{ (100*body.policies[name].max_weight_share)|round(2) }} % of
all weight.</p></section>{% endfor %}
<section><h2>Can the log and the model be believed?</h2><div class="pair">
<div>{{ plot(propensities, 'logged probability', 'drawn this often') }}
<p class="soft">Propensities: self-test p = {{ body.self_test|number }}; features older than the draw:
p = {{ body.leak|number }}.</p></div>
<div>{{ plot(rewards, 'predicted reward', 'mean reward') }}
<p class="soft">Reward model, out of fold: R² {{ body.reward_model.r2|number }}, mean
{{ body.reward_model.mean_predicted|number }} for {{ body.reward_model.mean_reward|number }}. A poor one widens the
interval and does not bias it.</p></div></div></section>
{% for name, p in candidates.items() %}<section><h2>Where {{ name }} gains and loses</h2>
<h3>By time{% if p.details.time.p_value < 0.01 %}: the days disagree
(p = {{ p.details.time.p_value|number }}). The verdict holds for their mean, not for each{% endif %}</h3>
{% for b in time[name] %}{{ bar(b) }}{% endfor %}
{% for segment, rows in segments[name].items() %}<h3>By {{ segment }}</h3>
{% for b in rows %}{{ bar(b, ' · ' ~ '{:,}'.format(b.rounds)) }}{% endfor %}{% endfor %}
<h3>By arm: share of decisions</h3><div class="scroll"><table><tr><th>arm</th><th class="n">{{ body.champion }}</th>
<th class="n">{{ name }}</th><th class="n wide">logged</th><th class="n wide">shown</th>
<th class="n">mean reward</th></tr>
{% for a in p.details.arms %}<tr><td>{{ a.arm }}</td><td class="n">{{ (100*a.champion)|round(1) }} %</td>
<td class="n">{{ (100*a.candidate)|round(1) }} %</td><td class="n wide">{{ (100*a.logged)|round(1) }} %</td>
<td class="n wide">{{ '{:,}'.format(a.rounds) }}</td><td class="n">{{ a.mean_reward|number }}</td></tr>{% endfor %}
</table></div></section>{% endfor %}
<p class="soft">Error rates of this gate, counted on worlds of known truth: models/GATE.md.</p>
</main></body></html>
"""
)

PAGE = _MACROS + _BODY.lstrip()
