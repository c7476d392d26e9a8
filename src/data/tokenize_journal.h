// PREFIX.journal: how far a run of tokenize() has come, for one that goes on after it was killed.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/binidx_writer.h"
#include "data/text_blocks.h"
#include "data/tokenize.h"

namespace rk {

struct JournalEntry {
  bool complete = false;  // both files are whole, under their temporary or final names
  TextPlace place;        // what is read next
  int64_t lines = 0;      // of that file, in front of it
  bool dropping = false;  // the rest of the document at that place is left out
  BinidxProgress written;
  TokenizeReport report;  // but documents and tokens
};

class Journal {
 public:
  // files: what the inputs are now. Standard input cannot be read again, so nothing is kept of a run that reads it.
  Journal(const TokenizeArgs& args, const std::string& prefix, const std::vector<TextFile>& files);
  Journal(Journal&&) = delete;
  ~Journal();  // removes the file, if it is ours

  // Nothing: there is no journal, or it is of another request or of inputs that have changed, which is said.
  std::optional<JournalEntry> load(const std::function<void(const std::string&)>& say) const;
  // The files that the journal is about are open, and so nobody else writes them. `anew`: what it says does not hold any longer.
  void take_over(bool anew);
  void save(const JournalEntry& entry) const;  // on the disk when it returns
  bool keeps() const { return keeps_; }
  int64_t input_bytes() const { return input_bytes_; }  // 0 where standard input is read

 private:
  struct Input {
    std::string path;
    int64_t bytes = 0, modified_ns = 0;
    bool operator==(const Input&) const = default;
  };

  std::string path_, request_;
  std::vector<Input> inputs_;
  bool keeps_ = true, ours_ = false;
  int64_t input_bytes_ = 0;
};

}  // namespace rk
