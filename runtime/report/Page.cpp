// SPDX-License-Identifier: Apache-2.0
//
// The page with the curves: numbers as JSON and a script that draws them as SVG. Nothing is fetched from anywhere.
#include "runtime/program/Json.h"
#include "runtime/report/History.h"
#include "runtime/weights/Files.h"

#include <algorithm>
#include <cmath>

namespace vcc::runtime::report {

static constexpr std::string_view Head = R"(<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Training report</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222;background:#fff}
h2{margin-top:2em;border-bottom:1px solid #ddd}.row{display:flex;flex-wrap:wrap;gap:18px}
figure{margin:0}figcaption{font-size:13px;color:#555}svg{background:#fafafa;border:1px solid #e4e4e4}
table{border-collapse:collapse;margin:.6em 0}td,th{padding:2px 12px 2px 0;text-align:left}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}svg{background:#1e1e1e;border-color:#333}h2{border-color:#333}figcaption{color:#aaa}}
</style></head><body><h1 id="title"></h1><div id="stages"></div><script>const data=)";

static constexpr std::string_view Script = R"(;
const make=(tag,text,parent)=>{const e=document.createElement(tag);if(text!==undefined)e.textContent=text;parent.appendChild(e);return e};
const number=x=>x===null?'':Math.abs(x)>=1e4||(x!==0&&Math.abs(x)<1e-3)?x.toExponential(2):String(+x.toPrecision(4));
function draw(parent,name,steps,values){
  const W=340,H=190,L=52,B=24,T=10,R=8,ns='http://www.w3.org/2000/svg';
  const points=steps.map((s,i)=>[s,values[i]]).filter(p=>p[1]!==null);
  if(!points.length)return;
  let low=Infinity,high=-Infinity;for(const p of points){low=Math.min(low,p[1]);high=Math.max(high,p[1])}
  if(high===low){high+=Math.abs(high)*.1||1;low-=Math.abs(low)*.1||1}
  const x0=points[0][0],x1=Math.max(points[points.length-1][0],x0+1);
  const X=s=>L+(s-x0)/(x1-x0)*(W-L-R),Y=v=>H-B-(v-low)/(high-low)*(H-B-T);
  const figure=make('figure',undefined,parent),svg=document.createElementNS(ns,'svg');
  svg.setAttribute('width',W);svg.setAttribute('height',H);svg.setAttribute('role','img');svg.setAttribute('aria-label',name);
  const add=(tag,attributes,text)=>{const e=document.createElementNS(ns,tag);for(const k in attributes)e.setAttribute(k,attributes[k]);if(text!==undefined)e.textContent=text;svg.appendChild(e)};
  for(let i=0;i<4;i++){const v=low+(high-low)*i/3;add('line',{x1:L,x2:W-R,y1:Y(v),y2:Y(v),stroke:'#8883'});add('text',{x:L-5,y:Y(v)+4,'text-anchor':'end','font-size':11,fill:'#888'},number(v))}
  for(const s of [x0,x1])add('text',{x:X(s),y:H-7,'text-anchor':s===x0?'start':'end','font-size':11,fill:'#888'},s);
  const path=p=>p.map((q,i)=>(i?'L':'M')+X(q[0]).toFixed(1)+' '+Y(q[1]).toFixed(1)).join('');
  add('path',{d:path(points),fill:'none',stroke:'#7aa7d9','stroke-width':1});
  let mean=points[0][1];const smooth=points.map(p=>[p[0],mean=.9*mean+.1*p[1]]);
  add('path',{d:path(smooth),fill:'none',stroke:'#1f5fa8','stroke-width':1.8});
  figure.appendChild(svg);make('figcaption',name+' (last '+number(points[points.length-1][1])+')',figure);
}
document.getElementById('title').textContent=data.title;
for(const stage of data.stages){
  const root=make('section',undefined,document.getElementById('stages'));make('h2',stage.name,root);
  make('p',stage.count+' steps in '+stage.seconds.toFixed(1)+' s, '+(100*stage.wait/Math.max(stage.seconds,1e-9)).toFixed(1)+' % of it waiting for data, '+stage.replaced+' samples replaced',root);
  const row=make('div',undefined,root);row.className='row';
  for(const name of Object.keys(stage.values))draw(row,name,stage.steps,stage.values[name]);
  if(stage.evaluations.length){const table=make('table',undefined,root),head=make('tr',undefined,table);
    for(const t of ['evaluation','step','group','accuracy','records','chance'])make('th',t,head);
    for(const e of stage.evaluations){const rows=[['all',e],...Object.entries(e.groups||{})];
      for(const [g,v] of rows){const tr=make('tr',undefined,table);for(const t of [e.name,e.step,g,(100*v.accuracy).toFixed(1)+' %',v.records,(100*v.chance).toFixed(0)+' %'])make('td',t,tr)}}}
}
</script></body></html>
)";

/// At most this many points of a curve: what a screen can show.
static constexpr size_t MostPoints = 2000;

static void writeColumn(JsonWriter &writer, const std::vector<double> &column, size_t stride) {
  writer.beginArray();
  for (size_t i = 0; i < column.size(); i += stride) {
    if (std::isfinite(column[i]))
      writer.value(float(column[i]));
    else
      writer.null();
  }
  writer.endArray();
}

static void writeStage(JsonWriter &writer, const std::string &name, const History &history) {
  size_t stride = std::max<size_t>(1, (history.steps.size() + MostPoints - 1) / MostPoints);
  writer.beginObject().member("name", std::string_view(name));
  writer.member("count", int64_t(history.steps.size())).member("seconds", history.seconds);
  writer.member("wait", history.dataWait).member("replaced", history.replaced);
  writer.key("steps").beginArray();
  for (size_t i = 0; i < history.steps.size(); i += stride)
    writer.value(history.steps[i]);
  writer.endArray().key("values").beginObject();
  for (const auto &[key, column] : history.values) {
    writer.key(key);
    writeColumn(writer, column, stride);
  }
  writer.endObject().key("evaluations").beginArray();
  for (const std::string &evaluation : history.evaluations)
    writer.raw(evaluation);
  writer.endArray().endObject();
}

/// Keeps text from the recipe from ending the script element.
static std::string safeInScript(const std::string &json) {
  std::string safe;
  for (char c : json)
    safe += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return safe;
}

void writePage(const std::string &path, const std::string &title,
               const std::vector<std::pair<std::string, History>> &stages) {
  JsonWriter writer;
  writer.beginObject().member("title", std::string_view(title)).key("stages").beginArray();
  for (const auto &[name, history] : stages)
    writeStage(writer, name, history);
  writer.endArray().endObject();
  writeWhole(path, std::string(Head) + safeInScript(writer.text()) + std::string(Script));
}

} // namespace vcc::runtime::report
