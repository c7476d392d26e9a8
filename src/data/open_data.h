// The data of a run: its files opened, text turned into tokens once, and the samples that training and validation take from them.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/batch_source.h"
#include "data/data_options.h"

namespace rk {

class DataSet {
 public:
  virtual ~DataSet() = default;
  virtual int64_t n_tokens() const = 0;     // of the training data, one pass
  virtual int64_t n_documents() const = 0;  // of the training data, one pass
  // Ids that the data may hold: the tokenizer's, or the largest token + 1, for which the data is read. Thread-safe.
  virtual int64_t vocabulary() const = 0;
  // A token < 0 or >= vocab (when vocab > 0) is an error naming file and byte offset. Numbers count from 1, passes follow each other.
  virtual std::unique_ptr<BatchSource> train_source(int64_t vocab) const = 0;
  virtual bool has_validation() const = 0;
  // Numbers 0 .. n_samples_per_pass() - 1: each token of the validation data that counts is a target once.
  virtual std::unique_ptr<BatchSource> validation_source(int64_t vocab) const = 0;
  virtual std::vector<std::string> remarks() const = 0;      // what was chosen, one line each; warnings begin with "warning: "
  virtual std::vector<std::string> token_files() const = 0;  // all files that samples are read from, for comparison between ranks
};

struct PrepareSite {
  std::string folder;  // where token files of text go: PROJ_DIR/data
  int threads = 1;
  std::function<void(const std::string&)> say;  // one line; progress, too
};
// Turns text (jsonl, sft, sharegpt, alpaca, utf-8, utf-16le, dummy) into token files below site.folder, unless they are there already, made
// of the same text with the same options. Nothing is left half written. By one process; all others then open_data(). Nothing to do for
// data that is tokens. Every error of the text is found here: file:line:column.
void prepare_data(const DataOptions& options, const PrepareSite& site);

// folder: as for prepare_data(). Refuses options that do not go together before it opens anything.
std::unique_ptr<DataSet> open_data(const DataOptions& options, const std::string& folder);

}  // namespace rk
