// Token files that a run makes of its text, once: FOLDER/NAME-HASH.bin, .idx, .mask where some tokens do not count, and .json, which is
// written last and says what they are.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/data_options.h"
#include "data/samples/token_data.h"

namespace rk {

// What NAME-HASH.json says.
struct PreparedRecord {
  std::string identity;  // what the files were made of, and how: they are made again where it differs
  int64_t documents = 0, tokens = 0;
  int64_t vocabulary = 0;  // ids that the tokens may be; 0 = as in the token file they come from
  bool marks = false;      // .mask belongs to them
  std::vector<std::string> remarks;
};

// Where the tokens of a text lie, by its path, size and time of change, the tokenizer and the options that matter.
struct PreparedFile {
  std::string prefix, identity;
};
PreparedFile prepared_text(const DataOptions& options, const std::string& path, const std::string& folder);

// Where the two sides of val_split lie: prefix + "-train", prefix + "-val".
PreparedFile prepared_split(const DataOptions& options, const std::string& prefix, const std::string& folder);

// True where the files are there and made of this.
bool is_prepared(const PreparedFile& file, const std::string& side = {});
// Refuses files that are not there, or made of something else.
PreparedRecord read_record(const PreparedFile& file, const std::string& side = {});
void write_record(const std::string& prefix, const PreparedRecord& record);

struct PrepareArgs {
  const DataOptions& options;
  int threads = 1;
  std::function<void(const std::string&)> say;
};

// One file of jsonl, sft, sharegpt or alpaca. Memory does not grow with it. A line that cannot be used is an error with file, line and
// column, or is counted (on_error skip).
void prepare_lines(const PrepareArgs& args, const std::string& path, const PreparedFile& to);

// utf-8, utf-16le, dummy: characters become their places among those of `vocabulary_of`, a text of the same type.
void prepare_characters(const PrepareArgs& args, const std::string& path, const std::string& vocabulary_of, const PreparedFile& to);
// vocab.json of RWKV-LM: {"0": "c", ...}
void write_vocab_json(const DataOptions& options, const std::string& vocabulary_of, const std::string& to);

// Documents divided by a hash of their content, so that equal ones share a side.
void prepare_split(const PrepareArgs& args, const TokenData& data, const PreparedRecord& of, const PreparedFile& to);

}  // namespace rk
