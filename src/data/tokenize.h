// From text files to PREFIX.bin and PREFIX.idx.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/binidx.h"
#include "data/char_vocab.h"
#include "data/tokenizer.h"

namespace rk {

struct TokenizeArgs {
  std::vector<std::string> inputs;  // .txt, .jsonl, "-"
  std::string prefix;
  std::shared_ptr<const Tokenizer> tokenizer;
  int threads = 1;
  int64_t n_epoch = 1;                  // passes over the documents
  std::optional<int64_t> shuffle_seed;  // before each pass the order of the last is shuffled as Python's random.seed(S); shuffle() does
  size_t block_bytes = 1 << 20;         // of text handled by a thread at a time
  std::function<void(int64_t bytes_done)> progress;
};

struct TokenizeReport {
  int64_t documents = 0, tokens = 0;
  int64_t input_bytes = 0;
  std::vector<std::string> warnings;
};

// Every document is followed by the tokenizer's end-of-document id. The files appear under their names when all is done; a failed run
// leaves older ones as they were. Memory does not grow with the input, except 16 bytes a document when passes are shuffled or
// repeated. The result does not depend on the number of threads. Errors in the input name file and line.
TokenizeReport tokenize(const TokenizeArgs& args);

// The characters of all documents, for a tokenizer of characters.
CharacterSet collect_characters(const std::vector<std::string>& inputs, int threads);

// All documents of `from`, n_passes times. Before each pass arrange() may reorder the list of documents, which starts in file order
// and keeps the order of the pass before.
struct PassesArgs {
  const Binidx& from;
  std::string prefix;
  int64_t n_passes = 1;
  std::function<void(std::span<int64_t> documents)> arrange;
};
struct PassesReport {
  int64_t documents = 0, tokens = 0;
};
PassesReport write_passes(const PassesArgs& args);

}  // namespace rk
