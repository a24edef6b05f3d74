// Recurrent layers of TensorFlow.js with weights that make their output the mask of their input, or of their state, times x.
'use strict';

const SURE = 1000;  // a gate's bias: its sigmoid, hard or not, is exactly 0 or 1
const GATES = {simpleRNN: ['candidate'], gru: ['update', 'reset', 'candidate'], lstm: ['input', 'forget', 'candidate', 'output']};
// a unit that passes on what it computes in this step, and one that keeps its state
const PASSES = {update: -SURE, reset: SURE, input: SURE, forget: -SURE, output: SURE};
const KEEPS = {update: SURE, reset: SURE, input: -SURE, forget: SURE, output: SURE};

// A layer of `units` units with zero weights and linear activations; `fill` sets kernels and biases.
function built(tf, kind, features, units, config, fill) {
  // initializers that cost nothing: the usual one makes an orthogonal matrix
  const zeros = {kernelInitializer: 'zeros', recurrentInitializer: 'zeros'};
  const layer = tf.layers[kind]({...config, ...zeros, units, returnSequences: true, activation: 'linear'});
  const gates = GATES[kind];
  const width = units * gates.length;
  const kernel = new Float32Array(features * width);
  const recurrent = new Float32Array(units * width);
  const bias = new Float32Array(width);
  const column = (gate, unit) => gates.indexOf(gate) * units + unit;
  fill({
    input: (feature, unit) => { kernel[feature * width + column('candidate', unit)] = 1; },
    state: (from, unit) => { recurrent[from * width + column('candidate', unit)] = 1; },
    gate: (unit, values) => gates.forEach((g) => { if (g in values) bias[column(g, unit)] = values[g]; }),
  });
  layer.build([null, null, features]);
  layer.built = true;  // else it is built anew at its first call
  tf.tidy(() => layer.setWeights(
    [tf.tensor(kernel, [features, width]), tf.tensor(recurrent, [units, width]), tf.tensor(bias)]));
  return layer;
}

const range = (count) => [...Array(count).keys()];

// x is (n, t, f): each unit passes one feature on, so that the output is what the layer made of its input.
function input(tf, kind, rate, options) {
  return {
    make: (f) => built(tf, kind, f, f, {...options, dropout: rate}, (set) => range(f).forEach((u) => {
      set.input(u, u);
      set.gate(u, PASSES);
    })),
    call: (layer, x, training) => layer.apply(x, {training}),
  };
}

// x is (n, t, h): h units keep the state 1, and h units read it; x times what they read.
function recurrent(tf, kind, rate, options) {
  const fill = (h) => (set) => range(h).forEach((u) => {
    set.gate(u, KEEPS);
    set.gate(h + u, PASSES);
    set.state(u, h + u);
  });
  return {
    make: (h) => built(tf, kind, 1, 2 * h, {...options, recurrentDropout: rate}, fill(h)),
    call: (layer, x, training) => {
      const [n, t, h] = x.shape;
      const state = tf.concat([tf.ones([n, h]), tf.zeros([n, h])], 1);
      const initialState = kind === 'lstm' ? [state, state] : [state];
      const y = layer.apply(tf.zeros([n, t, 1]), {training, initialState});
      return tf.mul(x, tf.slice(y, [0, 0, h], [n, t, h]));
    },
  };
}

// A simple layer keeps no state: the one that a step reads is the input of the step before. x is (n, t, h).
function plain(tf, kind, rate, options) {
  const fill = (h) => (set) => range(h).forEach((u) => {
    set.input(u, u);
    set.state(u, h + u);
  });
  return {
    make: (h) => built(tf, kind, h, 2 * h, {...options, recurrentDropout: rate}, fill(h)),
    call: (layer, x, training) => {
      const [n, t, h] = x.shape;
      const y = layer.apply(tf.concat([x, tf.zeros([n, 1, h])], 1), {training});
      return tf.slice(y, [0, 1, h], [n, t, h]);
    },
  };
}

// A layer for each number of features, made where it is first called with it; its constructor is asked at once.
exports.site = (tf, kind, where, rate, options) => {
  const way = (where === 'input' ? input : kind === 'simpleRNN' ? plain : recurrent)(tf, kind, rate, options);
  const made = new Map();
  const of = (features) => {
    if (!made.has(features)) made.set(features, way.make(features));
    return made.get(features);
  };
  of(1);
  return {
    call: (x, training) => way.call(of(x.shape[2]), x, training),
    dispose: () => made.forEach((layer) => layer.weights.forEach((one) => one.dispose())),
  };
};
