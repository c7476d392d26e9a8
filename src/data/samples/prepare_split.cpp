#include "base/error.h"
#include "data/samples/content_hash.h"
#include "data/samples/prepared.h"
#include "data/samples/token_file_writer.h"

namespace rk {

void prepare_split(const PrepareArgs& args, const TokenData& data, const PreparedRecord& of, const PreparedFile& to) {
  const DType dtype = token_dtype(of.vocabulary > 0 ? of.vocabulary : data.largest_token() + 1);
  TokenFileWriter train(to.prefix + "-train", dtype), validation(to.prefix + "-val", dtype);
  std::vector<int32_t> tokens(1 << 16);
  std::vector<uint8_t> marks(tokens.size());
  for (int64_t d = 0; d < data.n_documents(); ++d) {
    TokenFileWriter& side = in_validation(document_hash(data, d), args.options.val_split) ? validation : train;
    const int64_t end = data.document_begin(d + 1);
    for (int64_t at = data.document_begin(d); at < end;) {
      const size_t n = static_cast<size_t>(std::min(end - at, std::ssize(tokens)));
      data.read(at, std::span(tokens).first(n), 0);
      side.append(std::span(tokens).first(n));
      data.read_marks(at, std::span(marks).first(n));
      side.append_marks(std::span(marks).first(n));
      at += static_cast<int64_t>(n);
    }
    side.end_document();
  }
  for (const TokenFileWriter* side : {&train, &validation}) {
    if (side->n_documents() == 0)
      fail(cat(data.name(), ": --val_split ", args.options.val_split, " leaves nothing for ", side == &train ? "training" : "validation",
               " of ", data.n_documents(), " documents; use another share, or --val_file"));
  }
  const std::string counts = cat(train.n_documents(), " documents for training, ", validation.n_documents(), " for validation");
  PreparedRecord record{.identity = to.identity, .vocabulary = of.vocabulary, .remarks = of.remarks};
  validation.commit(record);
  record.remarks.push_back(cat(data.name(), ": --val_split ", args.options.val_split, " gives ", counts));
  train.commit(record);
}

}  // namespace rk
