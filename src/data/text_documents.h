// The documents of a block of text, and what is wrong with them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/char_vocab.h"
#include "data/text_blocks.h"
#include "data/tokenize.h"

namespace rk {

// A block and what became of it. Places are relative to the block, as only who sees all blocks knows how many lines were before.
struct EncodedBlock {
  TextBlock block;
  std::vector<int32_t> ids;
  std::vector<int64_t> document_sizes;  // of lines, in tokens; a .txt is cut into parts that belong to no entry
  int64_t n_lines = 0, n_empty = 0;
  bool has_mark = false;  // a byte order mark was skipped

  struct Problem {
    int64_t line = 0;
    size_t column = 0, offset = 0;
    std::string reason;
  };
  std::vector<Problem> problems;  // the first few
  int64_t n_problems = 0;
  std::unique_ptr<CharacterSet> characters;
};

// Fills all but `block`. After the first problem the rest is left alone, unless args.skip_errors.
void encode_block(const TokenizeArgs& args, TextKind kind, EncodedBlock& block);
void collect_block(const TokenizeArgs& args, TextKind kind, EncodedBlock& block);

// "FILE:LINE:COLUMN: reason", or "FILE: byte N: reason" of a .txt. lines_before: of the file, in front of the block.
std::string describe_problem(const EncodedBlock& block, const EncodedBlock::Problem& problem, const TextFile& file, int64_t lines_before);
std::string name_of(const TextFile& file);

}  // namespace rk
