// rookery init: fresh weights into a file.
#include <algorithm>
#include <cstdio>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "io/convert.h"
#include "io/tensor_file.h"
#include "launch/mpirun.h"
#include "launch/subcommands.h"
#include "model/families.h"
#include "params/init.h"
#include "train/build.h"
#include "train/config.h"
#include "train/resized.h"

namespace rk {
namespace {

// The options of rookery train that say what a model is.
const std::set<std::string>& init_options() {
  static const std::set<std::string> options = {"arch",      "n_layer", "n_embd",     "vocab_size", "head_size", "dim_att",
                                                "dim_ffn",   "init",    "decay_lora", "aaa_lora",   "mv_lora",   "gate_lora",
                                                "precision", "threads", "load_model", "random_seed"};
  return options;
}

void print_help() {
  std::string names;
  for (const std::string& name : init_options()) names += " --" + name;
  std::printf(
      "rookery init [--OPTION VALUE]... OUT writes the weights that a new model begins with to OUT (.pth, .safetensors or .h5).\n"
      "Options, as in rookery train:%s\n"
      "--precision is the type in the file: fp32 (default), tf32 (as fp32), bf16, fp16 or fp64.\n"
      "--load_model FILE: its tensors take the place of fresh ones; where sizes differ, rows are interpolated.\n",
      names.c_str());
}

DType file_dtype(const std::string& precision) {
  if (precision == "bf16") return DType::bf16;
  if (precision == "fp16") return DType::f16;
  return precision == "fp64" ? DType::f64 : DType::f32;
}

TensorInfo info_of(const Param& p, DType dtype) {
  TensorInfo info;
  info.name = p.name;
  info.dtype = dtype;
  info.shape.assign(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank);
  return info;
}

// Sizes without those that are 1.
std::vector<int64_t> squeezed(std::vector<int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t n : shape) text += cat(text.empty() ? "" : ", ", n);
  return "[" + text + "]";
}

// Where fresh values come from: the rules of the family, or a file whose tensors go first.
class Values {
 public:
  Values(const RunConfig& config, ThreadPool& pool) : config_(config), pool_(pool) {
    if (config.load_model.empty()) return;
    reader_ = open_tensor_file(config.load_model);
    for (const TensorInfo& t : reader_->tensors()) names_.push_back(plain_name(t.name));
  }

  std::vector<double> of(const Param& p) {
    const auto found = std::find(names_.begin(), names_.end(), p.name);
    if (found != names_.end()) return from_file(p, static_cast<size_t>(found - names_.begin()));
    if (config_.init == "normal") return quick_values(p, seed_of(config_), &pool_);
    return fresh_values(p, seed_of(config_), &pool_);
  }

 private:
  std::vector<double> from_file(const Param& p, size_t index) {
    const TensorInfo& info = reader_->tensors()[index];
    std::vector<double> values(static_cast<size_t>(info.numel()));
    reader_->read_as(index, 0, info.numel(), values.data());
    if (info.numel() == p.numel()) return values;
    const std::vector<int64_t> from = squeezed(info.shape), to = squeezed(info_of(p, DType::f64).shape);
    if (from.empty() || to.empty() || !std::equal(from.begin() + 1, from.end(), to.begin() + 1, to.end()))
      fail(cat(config_.load_model, ": tensor ", p.name, " ", text_of(info.shape), " cannot become ", text_of(to),
               ": only the number of rows may differ; choose --n_embd and widths as the file has them"));
    return resized_rows(values, p.numel() / to[0], to[0]);
  }

  const RunConfig& config_;
  ThreadPool& pool_;
  std::unique_ptr<TensorReader> reader_;
  std::vector<std::string> names_;
};

// The parsed options; `out` gets the word that is no option, which is the first or the last.
RunConfig read_options(std::vector<std::string> words, std::string& out) {
  const auto is_file = [](const std::string& word) { return !word.starts_with("-"); };
  if (words.empty())
    fail("rookery init needs the file to write, for example: rookery init --n_layer 12 --n_embd 768 --vocab_size 65536 out.pth");
  const auto place = is_file(words.front()) ? words.begin() : words.end() - 1;
  out = *place;
  words.erase(place);
  RunConfig config = parse_config(words);
  for (const auto& [name, origin] : config.origins)
    if (!init_options().contains(name)) fail(cat("--", name, " has no meaning for rookery init; rookery init --help lists the options"));
  return config;
}

}  // namespace

int init_main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (help_request(words) != HelpRequest::none) {
    print_help();
    return 0;
  }
  std::string out;
  RunConfig config = read_options(words, out);
  const DType dtype = file_dtype(config.precision);
  config.precision = "fp64";  // values are computed in double and rounded once
  const Family& family = family_of(config.arch);
  const std::unique_ptr<Model> model = family.make(family.spec_for_new(given_spec(config)));

  ThreadPool pool(config.threads > 0 ? config.threads : n_cores());
  Values values(config, pool);
  std::vector<TensorInfo> infos;
  for (const Param& p : model->params.all()) infos.push_back(info_of(p, dtype));
  const auto writer = create_tensor_file(out, infos, {});
  std::vector<std::byte> bytes;
  for (const Param& p : model->params.all()) {
    const std::vector<double> x = values.of(p);
    bytes.resize(x.size() * size_of(dtype));
    convert_elements(DType::f64, x.data(), dtype, bytes.data(), static_cast<int64_t>(x.size()));
    writer->write(bytes.data(), bytes.size());
  }
  writer->finish();
  log_info(
      cat("wrote ", out, ": ", model->params.numel(), " parameters, ", name_of(dtype), ", ", model->n_layer, " layers of ", model->n_embd));
  return 0;
}

}  // namespace rk
