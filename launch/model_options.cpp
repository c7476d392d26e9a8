#include "launch/model_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <sstream>

#include "base/error.h"
#include "launch/mpirun.h"

namespace rk {
namespace {

DType dtype_named(const std::string& precision) {
  if (precision == "fp64") return DType::f64;
  if (precision == "fp16") return DType::f16;
  return precision == "bf16" ? DType::bf16 : DType::f32;
}

bool wants_gpu(const ModelOptions& o) {
  if (o.accelerator == "cuda" && o.precision == "fp64") fail("--precision fp64 exists on the CPU only; use --accelerator cpu, or fp32");
  const bool gpu = o.accelerator == "cuda" || (o.accelerator == "auto" && o.precision != "fp64" && n_gpus() > 0);
  if (!gpu && o.precision == "fp16") fail("--precision fp16 does not exist on the CPU; use fp32, bf16 or fp64");
  return gpu;
}

// Token ids written as numbers, for models whose vocabulary is not at hand.
class NumberTokenizer : public Tokenizer {
 public:
  explicit NumberTokenizer(int64_t vocab_size) {
    for (int64_t id = 0; id < vocab_size; ++id) numbers_.push_back(" " + std::to_string(id));
  }
  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    std::istringstream in{std::string(bytes)};
    for (std::string word; in >> word;) {
      int32_t id = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
      if (error != std::errc{} || end != word.data() + word.size())
        fail(cat("the prompt word '", word, "' is no token id; --tokenizer ids takes whole numbers with blanks between them"));
      ids.push_back(id);
    }
  }
  size_t split_point(std::string_view) const override { return 0; }
  std::string_view bytes_of(int32_t id) const override { return numbers_.at(static_cast<size_t>(id)); }
  int64_t vocab_size() const override { return static_cast<int64_t>(numbers_.size()); }
  int32_t end_of_document() const override { return -1; }
  std::string name() const override { return "ids"; }

 private:
  std::vector<std::string> numbers_;
};

std::unique_ptr<Tokenizer> tokenizer_of(const ModelOptions& o, const Generator& model) {
  std::string spec = o.tokenizer;
  if (spec.empty())
    if (const auto own = model.metadata().find("tokenizer"); own != model.metadata().end()) spec = own->second;
  if (spec.empty() && model.vocab_size() >= 65530) spec = "world";
  if (spec.empty() && model.vocab_size() == 50277) spec = "neox";
  if (spec.empty() && model.vocab_size() == 257) spec = "bytes";
  if (spec.empty())
    fail(cat(o.path, " does not tell its tokenizer, and ", model.vocab_size(),
             " ids fit neither world, neox nor bytes; give --tokenizer world, neox, bytes, char:VOCAB.json, FILE, or ids"));
  if (spec == "ids") return std::make_unique<NumberTokenizer>(model.vocab_size());
  return make_tokenizer(spec);
}

}  // namespace

void add_model_options(CLI::App& app, ModelOptions& o) {
  app.add_option("MODEL", o.path, "weights (.pth, .safetensors, .h5), a checkpoint folder, or a proj_dir")->required();
  app.add_option("--tokenizer", o.tokenizer,
                 "world, neox, bytes, char:VOCAB.json, a tokenizer.json or vocabulary file, or ids (numbers with blanks); default: the model's own");
  app.add_option("--threads", o.threads, "0 = all cores")->check(CLI::Range(0, 4096))->capture_default_str();
  app.add_option("--precision", o.precision, "what is computed in; fp16 on a GPU only, fp64 on the CPU only")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16", "fp64"}))
      ->capture_default_str();
  app.add_option("--accelerator", o.accelerator, "where it is computed; auto = on a GPU where there is one")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
}

OpenedModel::OpenedModel(const ModelOptions& o) {
  const DType dtype = dtype_named(o.precision);
  if (wants_gpu(o)) gpu.emplace(GpuOptions{});
  const Machine machine{.threads = o.threads > 0 ? o.threads : n_cores(), .gpu = gpu ? &*gpu : nullptr};
  generator = std::make_unique<Generator>(o.path, dtype, machine);
  tokenizer = tokenizer_of(o, *generator);
}

}  // namespace rk
