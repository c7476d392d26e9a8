// A model and its tokenizer from the options of commands that read one.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "data/tokenizer.h"
#include "device/gpu.h"
#include "train/generator.h"

namespace CLI {
class App;
}

namespace rk {

struct ModelOptions {
  std::string path, tokenizer, precision = "fp32", accelerator = "auto";
  int threads = 0;  // 0 = all cores
};
void add_model_options(CLI::App& app, ModelOptions& o);

struct OpenedModel {
  explicit OpenedModel(const ModelOptions& o);
  std::optional<Gpu> gpu;
  std::unique_ptr<Generator> generator;
  std::unique_ptr<Tokenizer> tokenizer;
};

}  // namespace rk
