"""The endpoints driftwatch can talk to: one wire format per file, and the literal dict of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast

from driftwatch.domain import Json
from driftwatch.providers.connection import Connection, Provider

__all__ = ["PROVIDERS", "Connection", "Entry", "Option", "Provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A key under a target's ``options:`` that one provider knows."""

    about: str
    """What it says, as one sentence for the reference."""
    example: Json
    """A value that is right; its type is the type expected."""
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a provider before it is opened: enough to validate a config without importing its module.

    Calling it opens the provider.
    """

    module: str
    """File in this folder; its ``open_provider(connection)`` opens it."""
    about: str
    """Whose API it is, and which one, for people."""
    base_url: str | None = None
    """Where the API begins when the config does not say; None when the options or the config must."""
    needs_base_url: bool = False
    """Whether only the config can say where the API begins."""
    key_env: str | None = None
    """The variable in which the vendor's own SDK looks for a key."""
    options: Mapping[str, Option] = field(default_factory=dict)
    extra: str | None = None
    """The extra of driftwatch that brings the library it needs: ``pip install driftwatch[EXTRA]``."""
    prices: str | None = None
    """The provider's name in genai-prices; None when its prices cannot be looked up by it."""

    def __call__(self, connection: Connection) -> Provider:
        """Open the provider.

        Raises:
            ConfigError: the connection lacks what it needs, or the extra is not installed.
        """
        # Imported at the moment of use: httpx would slow every start of the program.
        module = import_module(f"driftwatch.providers.{self.module}")
        return cast("Provider", module.open_provider(connection))


PROVIDERS: Mapping[str, Entry] = {
    "openai": Entry(
        module="openai",
        about="OpenAI, chat completions",
        base_url="https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        prices="openai",
    ),
    "openai_responses": Entry(
        module="openai_responses",
        about="OpenAI, Responses",
        base_url="https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        prices="openai",
    ),
    "anthropic": Entry(
        module="anthropic",
        about="Anthropic, Messages",
        base_url="https://api.anthropic.com",
        key_env="ANTHROPIC_API_KEY",
        options={
            "api_version": Option(
                about="Version of the API. Default 2026-10-21, which has no temperature, top_p and top_k.",
                example="2023-06-01",
            ),
        },
        prices="anthropic",
    ),
    "gemini": Entry(
        module="gemini",
        about="Google Gemini, generateContent",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_env="GEMINI_API_KEY",
        prices="google",
    ),
    "vertex": Entry(
        module="vertex",
        about="Google Vertex AI, generateContent",
        options={
            "project": Option(about="Google Cloud project.", example="my-project", is_required=True),
            "location": Option(about="Region, or one of global, us and eu. Default global.", example="europe-west4"),
        },
        extra="vertex",
        prices="google",
    ),
    "azure_openai": Entry(
        module="azure_openai",
        about="Azure OpenAI, chat completions",
        needs_base_url=True,
        key_env="AZURE_OPENAI_API_KEY",
        options={
            "api_version": Option(
                about="Version of the API. Default: the v1 API, which has none.", example="2024-10-21"
            ),
            "auth": Option(
                about="api_key, or entra for a token of this machine's identity. Default api_key.", example="entra"
            ),
        },
        extra="azure",
        prices="azure",
    ),
    "bedrock": Entry(
        module="bedrock",
        about="Amazon Bedrock, Converse",
        options={
            "region": Option(about="AWS region. Default: what AWS's own settings say.", example="eu-central-1"),
            "profile": Option(about="Profile of AWS's own settings.", example="watch"),
        },
        extra="bedrock",
        prices="aws",
    ),
    "mistral": Entry(
        module="mistral",
        about="Mistral, chat completions",
        base_url="https://api.mistral.ai/v1",
        key_env="MISTRAL_API_KEY",
        prices="mistral",
    ),
    "cohere": Entry(
        module="cohere",
        about="Cohere, Chat v2",
        base_url="https://api.cohere.com/v2",
        key_env="CO_API_KEY",
        prices="cohere",
    ),
    "openrouter": Entry(
        module="openrouter",
        about="OpenRouter, chat completions",
        base_url="https://openrouter.ai/api/v1",
        key_env="OPENROUTER_API_KEY",
        options={
            "upstream": Option(about="The one provider that is asked; no other takes its place.", example="fireworks"),
            "quantization": Option(about="Only upstreams that serve the model so.", example="bf16"),
        },
        prices="openrouter",
    ),
    "groq": Entry(
        module="groq",
        about="Groq, chat completions",
        base_url="https://api.groq.com/openai/v1",
        key_env="GROQ_API_KEY",
        prices="groq",
    ),
    "together": Entry(
        module="together",
        about="Together, chat completions",
        base_url="https://api.together.ai/v1",
        key_env="TOGETHER_API_KEY",
        prices="together",
    ),
    "fireworks": Entry(
        module="openai_compatible",
        about="Fireworks, chat completions",
        base_url="https://api.fireworks.ai/inference/v1",
        key_env="FIREWORKS_API_KEY",
        prices="fireworks",
    ),
    "deepseek": Entry(
        module="openai_compatible",
        about="DeepSeek, chat completions",
        base_url="https://api.deepseek.com",
        key_env="DEEPSEEK_API_KEY",
        prices="deepseek",
    ),
    "xai": Entry(
        module="openai_compatible",
        about="xAI, chat completions",
        base_url="https://api.x.ai/v1",
        key_env="XAI_API_KEY",
        prices="x-ai",
    ),
    "cerebras": Entry(
        module="openai_compatible",
        about="Cerebras, chat completions",
        base_url="https://api.cerebras.ai/v1",
        key_env="CEREBRAS_API_KEY",
        prices="cerebras",
    ),
    "ollama": Entry(module="openai_compatible", about="Ollama on this machine", base_url="http://127.0.0.1:11434/v1"),
    "vllm": Entry(module="openai_compatible", about="vLLM on this machine", base_url="http://127.0.0.1:8000/v1"),
    "llama_cpp": Entry(
        module="openai_compatible", about="llama.cpp's server on this machine", base_url="http://127.0.0.1:8080/v1"
    ),
    "openai_compatible": Entry(
        module="openai_compatible", about="any endpoint that speaks chat completions", needs_base_url=True
    ),
    "http": Entry(
        module="http",
        about="your own endpoint, whatever its wire: the feature as its users see it",
        needs_base_url=True,
        options={
            "request": Option(
                about="The body; {{model}}, {{system}}, {{prompt}}, {{messages}}, {{tools}}, {{tool_choice}}, "
                "{{response_format}}, {{stream}} and {{parameters.max_tokens}} and the like are filled in.",
                example={"question": "{{prompt}}"},
                is_required=True,
            ),
            "text": Option(
                about="JSONPath to the reply's text; $ is the whole body.", example="$.answer", is_required=True
            ),
            "stream_text": Option(about="JSONPath to the text of one event of a stream.", example="$.piece"),
            "model": Option(about="JSONPath to the served model.", example="$.meta.model"),
            "input_tokens": Option(about="JSONPath to the count.", example="$.usage.input"),
            "output_tokens": Option(about="JSONPath to the count.", example="$.usage.output"),
            "finish_reason": Option(about="JSONPath to the reason.", example="$.finish_reason"),
            "error": Option(about="JSONPath to an error inside a status 200.", example="$.error"),
        },
    ),
    "simulated": Entry(module="simulated", about="a scripted endpoint in memory, for demonstrations"),
}
"""Name in the config → what is known of it."""
