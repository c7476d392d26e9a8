// rookery data make_data: FILE.jsonl N_EPOCH CTX_LEN, the form of RWKV-LM's make_data.py: shuffled passes, output in the working folder.
// That program's order is never the same twice; ours is, for a seed.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "launch/data/commands.h"
#include "launch/data/text_to_tokens.h"
#include "launch/words.h"

namespace rk {

int data_make_data_main(int argc, char** argv) {
  CLI::App app{"make_data.py's form: FILE.jsonl N_EPOCH CTX_LEN, shuffled, output beside you", "rookery data make_data"};
  TokenizeOptions o;
  o.tokenizer = default_tokenizer();
  app.add_option("file", o.args.inputs.emplace_back(), "FILE.jsonl")->required();
  app.add_option("n_epoch", o.args.n_epoch, "passes over the documents")->required();
  app.add_option("ctx_len", o.ctx_len, "context length for which training flags are suggested")->required();
  app.add_option("--shuffle_seed", o.args.shuffle_seed, "order of the documents; default: 42");
  app.add_option("--tokenizer", o.tokenizer, "as for rookery data tokenize; default: world, or neox where RWKV_VOCAB=20B is set")
      ->capture_default_str();
  add_common_options(app, o);
  if (!parse_words(app, argc, argv)) return static_cast<int>(ExitCode::done);
  o.args.prefix = std::filesystem::path(o.args.inputs.at(0)).stem().string();
  if (!o.args.shuffle_seed) o.args.shuffle_seed = 42;
  log_info(cat("documents are shuffled for each of ", o.args.n_epoch, " passes with --shuffle_seed ", *o.args.shuffle_seed));
  text_to_tokens(o);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
