// Tokens one behind another and where documents begin among them, whatever files they lie in.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/binidx.h"
#include "data/samples/token_marks.h"

namespace rk {

// Thread-safe; reading allocates nothing. Documents lie one behind another from token 0 on and may be empty; tokens behind the last
// one belong to none.
class TokenData {
 public:
  virtual ~TokenData() = default;
  virtual std::string name() const = 0;  // for messages
  virtual int64_t n_tokens() const = 0;
  virtual int64_t n_documents() const = 0;
  // The token offsets at which documents first, first + 1, ... begin; n_documents() stands for the end of the last one.
  virtual void document_begins(int64_t first, std::span<int64_t> out) const = 0;
  // Tokens [offset, offset + out.size()). A token < 0 or >= vocab (when vocab > 0) is an error naming file and byte offset.
  virtual void read(int64_t offset, std::span<int32_t> out, int64_t vocab) const = 0;
  // Whether some tokens do not count as targets, and 0 or 1 of each.
  virtual bool has_marks() const { return false; }
  virtual void read_marks(int64_t offset, std::span<uint8_t> out) const;
  // The index knows one document only, so that the ids which end documents tell more.
  virtual bool is_one_document() const { return n_documents() <= 1; }
  virtual std::vector<std::string> files() const = 0;
  virtual std::vector<std::string> warnings() const { return {}; }

  int64_t document_begin(int64_t d) const;
  int64_t document_size(int64_t d) const;
  // The document that holds a token; n_documents() behind the last one.
  int64_t document_of(int64_t token) const;
  int64_t largest_token() const;  // -1 without tokens; reads all of it
};

using SharedTokens = std::shared_ptr<const TokenData>;

// PREFIX.bin and PREFIX.idx; with_marks: PREFIX.mask says what counts. Pointers that do not follow the sizes are refused where documents
// are asked for.
SharedTokens binidx_tokens(std::shared_ptr<const Binidx> data);
SharedTokens open_binidx_tokens(const std::string& prefix, bool with_marks);
// All tokens of all parts, in their order.
SharedTokens join_tokens(std::vector<SharedTokens> parts);
// The first n documents alone; all where there are fewer.
SharedTokens first_documents(SharedTokens data, int64_t n);

}  // namespace rk
