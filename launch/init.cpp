// rookery init: fresh weights into a file.
#include <cstdio>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "launch/mpirun.h"
#include "launch/subcommands.h"
#include "train/build.h"
#include "train/config.h"
#include "train/initial_weights.h"

namespace rk {
namespace {

// The options of rookery train that say what a model is.
const std::set<std::string>& init_options() {
  static const std::set<std::string> options = {
      "arch",       "n_layer",     "n_embd",  "vocab_size", "head_size",      "head_size_divisor", "dim_att",      "dim_ffn",   "init",
      "decay_lora", "aaa_lora",    "mv_lora", "gate_lora",  "mix_lora",       "head_qk",           "tiny_att_dim", "precision", "threads",
      "load_model", "random_seed", "pre_ffn", "my_pos_emb", "tiny_att_layer", "ctx_len",           "lr_init"};
  return options;
}

// Options that some models begin with and others do not.
bool has_meaning(const std::string& name, const RunConfig& c) {
  if (name == "ctx_len") return c.head_qk > 0 || c.tiny_att_dim > 0 || !c.load_model.empty();  // of masks
  if (name == "lr_init") return given_spec(c).emb_init > 0;
  return init_options().contains(name);
}

void print_help() {
  std::string names;
  for (const std::string& name : init_options()) names += " --" + name;
  std::printf(
      "rookery init [--OPTION VALUE]... OUT writes the weights that a new model begins with to OUT (.pth, .safetensors or .h5).\n"
      "Options, as in rookery train:%s\n"
      "--precision is the type in the file: fp32 (default), tf32 (as fp32), bf16, fp16 or fp64.\n"
      "--load_model FILE: its tensors take the place of fresh ones; where the number of rows differs, they are interpolated.\n"
      "--ctx_len is the size of the masks that --head_qk and --tiny_att_dim bring; --lr_init the half width of an RWKV-4's embeddings.\n",
      names.c_str());
}

DType file_dtype(const std::string& precision) {
  if (precision == "bf16") return DType::bf16;
  if (precision == "fp16") return DType::f16;
  return precision == "fp64" ? DType::f64 : DType::f32;
}

// The parsed options; `out` gets the word that is no option, which is the first or the last.
RunConfig read_options(std::vector<std::string> words, std::string& out) {
  if (words.empty())
    fail("rookery init needs the file to write, for example: rookery init --n_layer 12 --n_embd 768 --vocab_size 65536 out.pth");
  const auto place = words.front().starts_with("-") ? words.end() - 1 : words.begin();
  out = *place;
  words.erase(place);
  RunConfig config = parse_config(words);
  for (const auto& [name, origin] : config.origins)
    if (!has_meaning(name, config)) fail(cat("--", name, " has no meaning for rookery init; rookery init --help lists the options"));
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
  config.precision = "fp64";  // nothing is computed in it: values are double until they are rounded for the file
  ThreadPool pool(config.threads > 0 ? config.threads : n_cores());
  log_info(write_initial_weights(config, nullptr, dtype, out, pool));
  return 0;
}

}  // namespace rk
