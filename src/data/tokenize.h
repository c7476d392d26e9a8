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
#include "data/text_blocks.h"
#include "data/tokenizer.h"

namespace rk {

struct TokenizeArgs {
  std::vector<std::string> inputs;  // .txt, .jsonl, folders, "-"
  TextKind standard_input = TextKind::document;
  std::string prefix;
  std::shared_ptr<const Tokenizer> tokenizer;

  // documents
  std::string text_key = "text";  // of .jsonl
  bool paragraphs = false;        // lines may be bare strings, and texts lists of strings (json_text_or_paragraphs)
  bool drop_empty = false;        // else an empty text is a document
  bool end_documents = true;      // the tokenizer's end-of-document id follows each
  std::optional<DType> dtype;     // default: the smallest of u16 and i32 that holds the vocabulary
  bool skip_errors = false;       // lines (.txt: files) that cannot be used are left out and counted; else the first one is an error

  int64_t n_epoch = 1;                  // passes over the documents
  std::optional<int64_t> shuffle_seed;  // before each pass the order of the last is shuffled as Python's random.seed(S); shuffle() does

  int threads = 1;
  size_t block_bytes = 1 << 20;  // of text handled by a thread at a time
  // PREFIX.journal says every so often how far a run has come, and what it was asked for. A killed run is gone on with by one that is asked
  // for the same and finds the same inputs.
  double journal_s = 5;
  std::string request;  // what decides the result and is not in this struct: the tokenizer
  std::function<void(int64_t bytes_done, int64_t bytes_in_all)> progress;  // in all: 0 where standard input is read
  std::function<void(const std::string&)> say;                             // one line, at once
};

struct TokenizeReport {
  int64_t documents = 0, tokens = 0;
  int64_t input_bytes = 0;
  int64_t empty = 0;                        // texts without a character, which are documents or were dropped
  int64_t left_out = 0;                     // lines or files that could not be used
  std::vector<std::string> left_out_named;  // the first of them: place and reason
  std::vector<std::string> warnings;
};

// The files appear under their names when all is done; a failed run leaves older ones as they were. Memory does not grow with the input,
// except 16 bytes a document when passes are shuffled or repeated. The result depends neither on the number of threads nor on whether the
// run was killed and gone on with. Errors in the input name file, line and column.
TokenizeReport tokenize(const TokenizeArgs& args);

// The characters of all documents, for a tokenizer of characters.
CharacterSet collect_characters(const TokenizeArgs& args);

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
