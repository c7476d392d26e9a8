// rookery data: the table of what it can do with token data before training.
#include <cstdio>
#include <string>
#include <string_view>

#include "base/error.h"
#include "launch/data/commands.h"

namespace rk {

std::span<const Subcommand> data_commands() {
  static constexpr Subcommand table[] = {
      {"tokenize", data_tokenize_main, "text to PREFIX.bin and PREFIX.idx"},
      {"make_data", data_make_data_main, "make_data.py's form: FILE.jsonl N_EPOCH CTX_LEN, shuffled, output beside you"},
      {"preprocess_data", data_preprocess_data_main, "preprocess_data.py's form: jsonl to PREFIX_text_document.bin and .idx"},
      {"concat", data_concat_main, "several PREFIX one behind the other"},
      {"split", data_split_main, "a share of the documents of PREFIX apart, for validation"},
      {"verify", data_verify_main, "read PREFIX wholly and say whether it is intact"},
      {"info", data_info_main, "what PREFIX.bin and PREFIX.idx hold"},
      {"prime", data_prime_main, "the magic prime of PREFIX, or of a number of tokens"},
      {"order", data_order_main, "the samples of --steps A:B, by the options of rookery train or the --proj_dir of a run"},
  };
  return table;
}

namespace {

void print_usage() {
  std::printf("rookery data COMMAND: token data, to make it and to look at it.\n\n");
  for (const Subcommand& s : data_commands()) std::printf("  rookery data %-15s %s\n", s.name, s.description);
  std::printf("\nrookery data COMMAND --help tells more.\n");
}

}  // namespace

int data_main(int argc, char** argv) {
  std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "--help" || word == "-h" || word == "help") {
    print_usage();
    return 0;
  }
  if (word.ends_with(".py")) word.remove_suffix(3);  // pasted lines name a script
  std::string known;
  for (const Subcommand& s : data_commands()) {
    if (word == s.name) return s.run(argc - 1, argv + 1);
    known += cat(known.empty() ? "" : ", ", s.name);
  }
  fail(word.empty() ? cat("rookery data needs a command: ", known) : cat("rookery data has no command '", word, "'; there are ", known));
}

}  // namespace rk
