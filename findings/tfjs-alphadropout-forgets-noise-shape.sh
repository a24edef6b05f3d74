#!/bin/sh
# TensorFlow.js 4.22.0: an alphaDropout that shares its drop decisions along time shares none once its model is saved and loaded.
#
# getConfig() of alphaDropout holds its rate and not its noiseShape. So whatever is made from a config (a loaded model, fromConfig)
# drops each element by itself. The layer dropout keeps its noiseShape.
#
# Valid input: ones of shape (64, 4, 8), training: true, rate .5, noiseShape [64, 1, 8].
# 512 decisions are shared by 4 steps each; without sharing, 64 of 512 columns are of one kind by chance, deviation 7.5: the bound of
# 200 columns is 18 standard deviations away.
#
# Seen with @tensorflow/tfjs 4.22.0, Node.js 20, cpu backend.
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts @tensorflow/tfjs@4.22.0 || exit 2
cd "$folder"
cat >finding.js <<'END'
const tf = require('@tensorflow/tfjs');

// columns (sample, channel) of which all 4 steps are dropped, or all are kept
function shared(layer) {
  const y = layer.apply(tf.ones([64, 4, 8]), {training: true}).arraySync();
  const kept = Math.max(...y.flat(2));  // the input is constant, and so are the two values of the output
  let count = 0;
  for (const sample of y) {
    for (let c = 0; c < 8; c++) {
      const steps = sample.filter((step) => step[c] === kept).length;
      if (steps === 0 || steps === 4) count++;
    }
  }
  return count;
}

async function main() {
  await tf.setBackend('cpu');
  let asSeen = true;
  for (const [name, expected] of [['alphaDropout', false], ['dropout', true]]) {
    const made = tf.layers[name]({rate: 0.5, noiseShape: [64, 1, 8], inputShape: [4, 8]});
    const model = tf.sequential({layers: [made]});
    const saved = await new Promise((resolve) => model.save(tf.io.withSaveHandler(async (all) => { resolve(all); return {}; })));
    const loaded = (await tf.loadLayersModel(tf.io.fromMemory(saved))).layers[0];
    const [before, after] = [shared(made), shared(loaded)];
    console.log(`${name}: ${before} of 512 columns are shared by all steps; ${after} once the model is saved and loaded`);
    asSeen = asSeen && before === 512 && (expected ? after === 512 : after < 200);
  }
  console.log(asSeen ? 'as seen' : 'the behaviour has changed');
  process.exit(asSeen ? 0 : 1);
}
main();
END
node finding.js
