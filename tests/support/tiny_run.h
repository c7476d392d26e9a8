// A tiny run on made-up tokens: what trainer tests share.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "comm/backends.h"
#include "data/binidx_writer.h"
#include "support/temporary_folder.h"
#include "io/tensor_file.h"
#include "train/trainer.h"

namespace rk {

// Tokens with some order in them, so that a loss falls: each is the last one plus a small number.
inline void write_tiny_data(const std::string& prefix, int64_t n_tokens, int64_t vocab) {
  BinidxWriter writer({.prefix = prefix, .dtype = token_dtype(vocab)});
  const Random random(7, 1);
  std::vector<int32_t> document;
  int64_t token = 0;
  for (int64_t i = 0; i < n_tokens; ++i) {
    token = (token + 1 + static_cast<int64_t>(random.uniform(static_cast<uint64_t>(i)) * 3)) % vocab;
    document.push_back(static_cast<int32_t>(token));
    if (document.size() < 97 && i + 1 < n_tokens) continue;
    writer.append(document);
    writer.end_sequence();
    writer.end_document();
    document.clear();
  }
  writer.finish();
  writer.commit();
}

// All ranks' view of a run.
struct TinyHistory : Observer {
  std::vector<double> loss, grad_norm, lr;
  std::vector<int64_t> steps;
  std::vector<std::string> lines;
  std::vector<double> validation_loss;
  int64_t stop_after = 0;  // raise the flag during this step
  StopFlags* flags = nullptr;
  void line(const std::string& text) override { lines.push_back(text); }
  void step(const StepReport& r) override {
    loss.push_back(r.loss);
    grad_norm.push_back(r.grad_norm);
    lr.push_back(r.lr);
    steps.push_back(r.step);
    if (r.step + 1 == stop_after) flags->save_and_stop = true;
  }
  void validation(int64_t, double x, int64_t) override { validation_loss.push_back(x); }
};

// Two layers, 24 samples a step: divisible by 1 .. 4 ranks and two micro-batches.
inline RunConfig tiny_config(const std::string& folder, const std::string& run, int world = 1, int64_t accumulate = 1) {
  RunConfig c;
  c.proj_dir = folder + "/" + run;
  c.data_file = folder + "/tiny";
  c.n_layer = 2;
  c.n_embd = 32;
  c.head_size = 8;
  c.vocab_size = 50;
  c.ctx_len = 17;
  c.accumulate = accumulate;
  c.micro_bsz = 24 / (world * accumulate);
  c.lr_init = 2e-3;
  c.lr_final = 1e-4;
  c.warmup_steps = 5;
  c.weight_decay = 0.1;
  c.max_steps = 20;
  c.epoch_steps = 8;
  c.precision = "fp32";
  c.text = "tiny = true  # default\n";
  return c;
}

inline std::vector<TinyHistory> tiny_train(const RunConfig& config, int world, int64_t stop_after = 0, ExitCode* code = nullptr) {
  std::vector<TinyHistory> ranks(static_cast<size_t>(world));
  std::vector<StopFlags> flags(static_cast<size_t>(world));
  run_thread_world(world, [&](Comm& comm) {
    auto& mine = ranks[static_cast<size_t>(comm.rank())];
    mine.stop_after = stop_after;
    mine.flags = &flags[static_cast<size_t>(comm.rank())];
    const ExitCode left = train(config, comm, {}, mine, *mine.flags);
    if (code && comm.rank() == 0) *code = left;
  });
  return ranks;
}

// All tensors of a weights file, by name.
inline std::map<std::string, std::vector<double>> weights_of(const std::string& path) {
  const auto reader = open_tensor_file(path);
  std::map<std::string, std::vector<double>> tensors;
  for (size_t i = 0; i < reader->tensors().size(); ++i) {
    auto& values = tensors[reader->tensors()[i].name];
    values.resize(static_cast<size_t>(reader->tensors()[i].numel()));
    reader->read_as(i, 0, static_cast<int64_t>(values.size()), values.data());
  }
  return tensors;
}

}  // namespace rk
