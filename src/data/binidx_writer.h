// Writes PREFIX.bin and PREFIX.idx (golden data §3) with constant memory.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "data/binidx.h"
#include "data/staged_file.h"

namespace rk {

struct BinidxWriterArgs {
  std::string prefix;
  DType dtype = DType::u16;
  bool modes = false;                                              // one mode a sequence follows the index (Megatron multimodal)
  int64_t longest_sequence = std::numeric_limits<int32_t>::max();  // a longer one goes on in a new sequence of the same document
};

// The type in which tokens below `vocab` are stored.
constexpr DType token_dtype(int64_t vocab) { return vocab <= 65536 ? DType::u16 : DType::i32; }

// How far a pair of files has come, for a process that goes on where another one was killed.
struct BinidxProgress {
  int64_t n_tokens = 0, open_tokens = 0, n_sequences = 0, n_documents = 0;
  int64_t document_tokens = 0, document_sequences = 0;  // before the open document
  // Documents from `document` on have one sequence each, the first of them beginning at `sequence`: as long as every document
  // has one sequence, all borders are one entry.
  struct Run {
    int64_t document = 0, sequence = 0;
  };
  std::vector<Run> runs{Run{}};
};

// The same, as preprocess_data.py of gpt-neox and json2binidx chooses: the World vocabulary is stored in 32 bits.
constexpr DType preprocessed_dtype(int64_t vocab) { return vocab < 65500 ? DType::u16 : DType::i32; }

class BinidxWriter {
 public:
  explicit BinidxWriter(const BinidxWriterArgs& args, const BinidxProgress& from = {});
  // Whether the temporary files of a killed process hold what `progress` names. Files with modes cannot be gone on with.
  static bool can_go_on(const BinidxWriterArgs& args, const BinidxProgress& progress);

  void append(std::span<const int32_t> tokens);  // to the sequence that is being written
  void end_sequence(int8_t mode = 0);            // may be empty
  void end_document();                           // sequences since the last one; none: an empty document
  void drop_open_document();                     // what was appended since the last document's end
  BinidxProgress checkpoint();                   // everything so far is on the disk
  void finish();                                 // both files are complete on the disk, under their temporary names
  void commit();                                 // after finish(): both get their names

  int64_t n_tokens() const { return at_.n_tokens; }
  int64_t n_documents() const { return at_.n_documents; }

 private:
  void write_pointers();
  void write_document_borders();
  void write_header();

  StagedFile bin_, idx_;
  DType dtype_;
  bool with_modes_;
  int64_t longest_sequence_;
  BinidxProgress at_;
  std::vector<int8_t> modes_;
  std::vector<std::byte> packed_;
};

// Appends document `d` with its sequences and modes.
void copy_document(const Binidx& from, int64_t d, BinidxWriter& to);

}  // namespace rk
