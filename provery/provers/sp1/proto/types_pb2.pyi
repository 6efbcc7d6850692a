from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MessageFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNSPECIFIED_MESSAGE_FORMAT: _ClassVar[MessageFormat]
    BINARY: _ClassVar[MessageFormat]
    JSON: _ClassVar[MessageFormat]

class TransactionVariant(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REQUEST_VARIANT: _ClassVar[TransactionVariant]

class ProofMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNSPECIFIED_PROOF_MODE: _ClassVar[ProofMode]
    CORE: _ClassVar[ProofMode]
    COMPRESSED: _ClassVar[ProofMode]
    PLONK: _ClassVar[ProofMode]
    GROTH16: _ClassVar[ProofMode]

class FulfillmentStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNSPECIFIED_FULFILLMENT_STRATEGY: _ClassVar[FulfillmentStrategy]
    HOSTED: _ClassVar[FulfillmentStrategy]
    RESERVED: _ClassVar[FulfillmentStrategy]
    AUCTION: _ClassVar[FulfillmentStrategy]

class FulfillmentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNSPECIFIED_FULFILLMENT_STATUS: _ClassVar[FulfillmentStatus]
    REQUESTED: _ClassVar[FulfillmentStatus]
    ASSIGNED: _ClassVar[FulfillmentStatus]
    FULFILLED: _ClassVar[FulfillmentStatus]
    UNFULFILLABLE: _ClassVar[FulfillmentStatus]

class ExecutionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNSPECIFIED_EXECUTION_STATUS: _ClassVar[ExecutionStatus]
    UNEXECUTED: _ClassVar[ExecutionStatus]
    EXECUTED: _ClassVar[ExecutionStatus]
    UNEXECUTABLE: _ClassVar[ExecutionStatus]
    VALIDATION_FAILED: _ClassVar[ExecutionStatus]
UNSPECIFIED_MESSAGE_FORMAT: MessageFormat
BINARY: MessageFormat
JSON: MessageFormat
REQUEST_VARIANT: TransactionVariant
UNSPECIFIED_PROOF_MODE: ProofMode
CORE: ProofMode
COMPRESSED: ProofMode
PLONK: ProofMode
GROTH16: ProofMode
UNSPECIFIED_FULFILLMENT_STRATEGY: FulfillmentStrategy
HOSTED: FulfillmentStrategy
RESERVED: FulfillmentStrategy
AUCTION: FulfillmentStrategy
UNSPECIFIED_FULFILLMENT_STATUS: FulfillmentStatus
REQUESTED: FulfillmentStatus
ASSIGNED: FulfillmentStatus
FULFILLED: FulfillmentStatus
UNFULFILLABLE: FulfillmentStatus
UNSPECIFIED_EXECUTION_STATUS: ExecutionStatus
UNEXECUTED: ExecutionStatus
EXECUTED: ExecutionStatus
UNEXECUTABLE: ExecutionStatus
VALIDATION_FAILED: ExecutionStatus

class RequestProofRequest(_message.Message):
    __slots__ = ("format", "signature", "body")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    format: MessageFormat
    signature: bytes
    body: RequestProofRequestBody
    def __init__(self, format: _Optional[_Union[MessageFormat, str]] = ..., signature: _Optional[bytes] = ..., body: _Optional[_Union[RequestProofRequestBody, _Mapping]] = ...) -> None: ...

class RequestProofRequestBody(_message.Message):
    __slots__ = ("nonce", "vk_hash", "version", "mode", "strategy", "stdin_uri", "deadline", "cycle_limit", "gas_limit", "min_auction_period", "whitelist", "domain", "auctioneer", "executor", "verifier", "public_values_hash", "base_fee", "max_price_per_pgu", "variant", "treasury")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    VK_HASH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    STDIN_URI_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    CYCLE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    GAS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_AUCTION_PERIOD_FIELD_NUMBER: _ClassVar[int]
    WHITELIST_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    AUCTIONEER_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_VALUES_HASH_FIELD_NUMBER: _ClassVar[int]
    BASE_FEE_FIELD_NUMBER: _ClassVar[int]
    MAX_PRICE_PER_PGU_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    TREASURY_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    vk_hash: bytes
    version: str
    mode: ProofMode
    strategy: FulfillmentStrategy
    stdin_uri: str
    deadline: int
    cycle_limit: int
    gas_limit: int
    min_auction_period: int
    whitelist: _containers.RepeatedScalarFieldContainer[bytes]
    domain: bytes
    auctioneer: bytes
    executor: bytes
    verifier: bytes
    public_values_hash: bytes
    base_fee: str
    max_price_per_pgu: str
    variant: TransactionVariant
    treasury: bytes
    def __init__(self, nonce: _Optional[int] = ..., vk_hash: _Optional[bytes] = ..., version: _Optional[str] = ..., mode: _Optional[_Union[ProofMode, str]] = ..., strategy: _Optional[_Union[FulfillmentStrategy, str]] = ..., stdin_uri: _Optional[str] = ..., deadline: _Optional[int] = ..., cycle_limit: _Optional[int] = ..., gas_limit: _Optional[int] = ..., min_auction_period: _Optional[int] = ..., whitelist: _Optional[_Iterable[bytes]] = ..., domain: _Optional[bytes] = ..., auctioneer: _Optional[bytes] = ..., executor: _Optional[bytes] = ..., verifier: _Optional[bytes] = ..., public_values_hash: _Optional[bytes] = ..., base_fee: _Optional[str] = ..., max_price_per_pgu: _Optional[str] = ..., variant: _Optional[_Union[TransactionVariant, str]] = ..., treasury: _Optional[bytes] = ...) -> None: ...

class RequestProofResponse(_message.Message):
    __slots__ = ("tx_hash", "body")
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    tx_hash: bytes
    body: RequestProofResponseBody
    def __init__(self, tx_hash: _Optional[bytes] = ..., body: _Optional[_Union[RequestProofResponseBody, _Mapping]] = ...) -> None: ...

class RequestProofResponseBody(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: bytes
    def __init__(self, request_id: _Optional[bytes] = ...) -> None: ...

class CancelRequestRequest(_message.Message):
    __slots__ = ("format", "signature", "body")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    format: MessageFormat
    signature: bytes
    body: CancelRequestRequestBody
    def __init__(self, format: _Optional[_Union[MessageFormat, str]] = ..., signature: _Optional[bytes] = ..., body: _Optional[_Union[CancelRequestRequestBody, _Mapping]] = ...) -> None: ...

class CancelRequestRequestBody(_message.Message):
    __slots__ = ("nonce", "request_id")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    request_id: bytes
    def __init__(self, nonce: _Optional[int] = ..., request_id: _Optional[bytes] = ...) -> None: ...

class CancelRequestResponse(_message.Message):
    __slots__ = ("tx_hash",)
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    tx_hash: bytes
    def __init__(self, tx_hash: _Optional[bytes] = ...) -> None: ...

class GetProofRequestStatusRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: bytes
    def __init__(self, request_id: _Optional[bytes] = ...) -> None: ...

class GetProofRequestStatusResponse(_message.Message):
    __slots__ = ("fulfillment_status", "execution_status", "request_tx_hash", "deadline", "fulfill_tx_hash", "proof_uri", "public_values_hash")
    FULFILLMENT_STATUS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TX_HASH_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    FULFILL_TX_HASH_FIELD_NUMBER: _ClassVar[int]
    PROOF_URI_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_VALUES_HASH_FIELD_NUMBER: _ClassVar[int]
    fulfillment_status: FulfillmentStatus
    execution_status: ExecutionStatus
    request_tx_hash: bytes
    deadline: int
    fulfill_tx_hash: bytes
    proof_uri: str
    public_values_hash: bytes
    def __init__(self, fulfillment_status: _Optional[_Union[FulfillmentStatus, str]] = ..., execution_status: _Optional[_Union[ExecutionStatus, str]] = ..., request_tx_hash: _Optional[bytes] = ..., deadline: _Optional[int] = ..., fulfill_tx_hash: _Optional[bytes] = ..., proof_uri: _Optional[str] = ..., public_values_hash: _Optional[bytes] = ...) -> None: ...

class ProofRequest(_message.Message):
    __slots__ = ("request_id", "vk_hash", "version", "mode", "strategy", "stdin_uri", "deadline", "cycle_limit", "fulfillment_status", "execution_status", "requester", "created_at", "tx_hash", "cycles", "deduction_amount", "refund_amount", "gas_limit", "gas_used", "execute_fail_cause", "base_fee", "max_price_per_pgu")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VK_HASH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    STDIN_URI_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    CYCLE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    FULFILLMENT_STATUS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    CYCLES_FIELD_NUMBER: _ClassVar[int]
    DEDUCTION_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REFUND_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    GAS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    GAS_USED_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_FAIL_CAUSE_FIELD_NUMBER: _ClassVar[int]
    BASE_FEE_FIELD_NUMBER: _ClassVar[int]
    MAX_PRICE_PER_PGU_FIELD_NUMBER: _ClassVar[int]
    request_id: bytes
    vk_hash: bytes
    version: str
    mode: ProofMode
    strategy: FulfillmentStrategy
    stdin_uri: str
    deadline: int
    cycle_limit: int
    fulfillment_status: FulfillmentStatus
    execution_status: ExecutionStatus
    requester: bytes
    created_at: int
    tx_hash: bytes
    cycles: int
    deduction_amount: str
    refund_amount: str
    gas_limit: int
    gas_used: int
    execute_fail_cause: int
    base_fee: str
    max_price_per_pgu: str
    def __init__(self, request_id: _Optional[bytes] = ..., vk_hash: _Optional[bytes] = ..., version: _Optional[str] = ..., mode: _Optional[_Union[ProofMode, str]] = ..., strategy: _Optional[_Union[FulfillmentStrategy, str]] = ..., stdin_uri: _Optional[str] = ..., deadline: _Optional[int] = ..., cycle_limit: _Optional[int] = ..., fulfillment_status: _Optional[_Union[FulfillmentStatus, str]] = ..., execution_status: _Optional[_Union[ExecutionStatus, str]] = ..., requester: _Optional[bytes] = ..., created_at: _Optional[int] = ..., tx_hash: _Optional[bytes] = ..., cycles: _Optional[int] = ..., deduction_amount: _Optional[str] = ..., refund_amount: _Optional[str] = ..., gas_limit: _Optional[int] = ..., gas_used: _Optional[int] = ..., execute_fail_cause: _Optional[int] = ..., base_fee: _Optional[str] = ..., max_price_per_pgu: _Optional[str] = ...) -> None: ...

class GetProofRequestDetailsRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: bytes
    def __init__(self, request_id: _Optional[bytes] = ...) -> None: ...

class GetProofRequestDetailsResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: ProofRequest
    def __init__(self, request: _Optional[_Union[ProofRequest, _Mapping]] = ...) -> None: ...

class GetFilteredProofRequestsRequest(_message.Message):
    __slots__ = ("minimum_deadline", "vk_hash", "requester", "to", "limit", "page", "mode")
    MINIMUM_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    VK_HASH_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    minimum_deadline: int
    vk_hash: bytes
    requester: bytes
    to: int
    limit: int
    page: int
    mode: ProofMode
    def __init__(self, minimum_deadline: _Optional[int] = ..., vk_hash: _Optional[bytes] = ..., requester: _Optional[bytes] = ..., to: _Optional[int] = ..., limit: _Optional[int] = ..., page: _Optional[int] = ..., mode: _Optional[_Union[ProofMode, str]] = ..., **kwargs) -> None: ...

class GetFilteredProofRequestsResponse(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[ProofRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[ProofRequest, _Mapping]]] = ...) -> None: ...

class GetProofRequestParamsRequest(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: ProofMode
    def __init__(self, mode: _Optional[_Union[ProofMode, str]] = ...) -> None: ...

class GetProofRequestParamsResponse(_message.Message):
    __slots__ = ("domain", "auctioneer", "executor", "verifier", "max_price_per_pgu", "base_fee", "treasury")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    AUCTIONEER_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    MAX_PRICE_PER_PGU_FIELD_NUMBER: _ClassVar[int]
    BASE_FEE_FIELD_NUMBER: _ClassVar[int]
    TREASURY_FIELD_NUMBER: _ClassVar[int]
    domain: bytes
    auctioneer: bytes
    executor: bytes
    verifier: bytes
    max_price_per_pgu: str
    base_fee: str
    treasury: bytes
    def __init__(self, domain: _Optional[bytes] = ..., auctioneer: _Optional[bytes] = ..., executor: _Optional[bytes] = ..., verifier: _Optional[bytes] = ..., max_price_per_pgu: _Optional[str] = ..., base_fee: _Optional[str] = ..., treasury: _Optional[bytes] = ...) -> None: ...

class GetProversByUptimeRequest(_message.Message):
    __slots__ = ("high_availability_only",)
    HIGH_AVAILABILITY_ONLY_FIELD_NUMBER: _ClassVar[int]
    high_availability_only: bool
    def __init__(self, high_availability_only: _Optional[bool] = ...) -> None: ...

class GetProversByUptimeResponse(_message.Message):
    __slots__ = ("provers",)
    PROVERS_FIELD_NUMBER: _ClassVar[int]
    provers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, provers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetNonceRequest(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    def __init__(self, address: _Optional[bytes] = ...) -> None: ...

class GetNonceResponse(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    def __init__(self, address: _Optional[bytes] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: str
    def __init__(self, amount: _Optional[str] = ...) -> None: ...

class Program(_message.Message):
    __slots__ = ("vk_hash", "vk", "program_uri", "owner")
    VK_HASH_FIELD_NUMBER: _ClassVar[int]
    VK_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_URI_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    vk_hash: bytes
    vk: bytes
    program_uri: str
    owner: bytes
    def __init__(self, vk_hash: _Optional[bytes] = ..., vk: _Optional[bytes] = ..., program_uri: _Optional[str] = ..., owner: _Optional[bytes] = ...) -> None: ...

class GetProgramRequest(_message.Message):
    __slots__ = ("vk_hash",)
    VK_HASH_FIELD_NUMBER: _ClassVar[int]
    vk_hash: bytes
    def __init__(self, vk_hash: _Optional[bytes] = ...) -> None: ...

class GetProgramResponse(_message.Message):
    __slots__ = ("program",)
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    program: Program
    def __init__(self, program: _Optional[_Union[Program, _Mapping]] = ...) -> None: ...

class CreateProgramRequest(_message.Message):
    __slots__ = ("format", "signature", "body")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    format: MessageFormat
    signature: bytes
    body: CreateProgramRequestBody
    def __init__(self, format: _Optional[_Union[MessageFormat, str]] = ..., signature: _Optional[bytes] = ..., body: _Optional[_Union[CreateProgramRequestBody, _Mapping]] = ...) -> None: ...

class CreateProgramRequestBody(_message.Message):
    __slots__ = ("nonce", "vk_hash", "vk", "program_uri")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    VK_HASH_FIELD_NUMBER: _ClassVar[int]
    VK_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_URI_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    vk_hash: bytes
    vk: bytes
    program_uri: str
    def __init__(self, nonce: _Optional[int] = ..., vk_hash: _Optional[bytes] = ..., vk: _Optional[bytes] = ..., program_uri: _Optional[str] = ...) -> None: ...

class CreateProgramResponse(_message.Message):
    __slots__ = ("tx_hash",)
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    tx_hash: bytes
    def __init__(self, tx_hash: _Optional[bytes] = ...) -> None: ...
